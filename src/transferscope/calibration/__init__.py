"""The calibration study: does the verdict err as often as it says, and no oftener? One file a study; each
yields `Finding`s."""
