"""From a pretrained base to a trained model."""
