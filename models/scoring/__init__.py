"""From a vector to a calibrated probability with exact reasons: bundles, trees, formulas, calibration."""
