# SPDX-License-Identifier: Apache-2.0
"""Errors that a person can do something about: one sentence, printed without a traceback by `ptr`."""


class PtrError(Exception):
    """Base of all errors of the suite that say what was wrong, with the value, and what to do."""
