# SPDX-License-Identifier: Apache-2.0
"""Why something could not be calibrated."""

from __future__ import annotations


class CalibrationError(RuntimeError):
    """Nothing was measured, or not well enough; the message says why and what to do."""
