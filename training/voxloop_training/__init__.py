"""From recordings to a served bundle: data, augmentation, model, training loop, scoring and export."""
