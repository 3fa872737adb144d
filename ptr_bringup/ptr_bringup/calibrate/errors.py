# SPDX-License-Identifier: Apache-2.0
"""Why something could not be calibrated."""

from __future__ import annotations

from ptr_models.common.errors import PtrError


class CalibrationError(PtrError):
    """Nothing was measured, or not well enough; the message says why and what to do."""
