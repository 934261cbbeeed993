"""The deployable folder: built, verified, predicted with. Needs onnxruntime, tokenizers and numpy only."""
