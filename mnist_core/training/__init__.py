"""The trainer: compiled epochs, early stopping, schedules, augmentation, weight average."""
