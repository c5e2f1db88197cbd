"""Makes clean recordings sound like what microphones, rooms and networks make of speech."""

from voxloop_training.augmentation.chain import AugmentationConfig, Augmenter

__all__ = ["AugmentationConfig", "Augmenter"]
