"""ONNX graphs without training: read, rewrite, quantise."""
