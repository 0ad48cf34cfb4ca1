"""The trainer: one compiled epoch, early stopping, schedules, augmentation."""
