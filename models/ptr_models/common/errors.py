# SPDX-License-Identifier: Apache-2.0
"""Errors that a person can do something about: one sentence, printed without a traceback by `ptr`."""


class PtrError(Exception):
    """Base class of the suite's errors. Messages state what was wrong, the value, and what to do."""
