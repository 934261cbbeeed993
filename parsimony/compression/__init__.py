"""From a trained model to a bundle: techniques, applied in order, every claim checked."""
