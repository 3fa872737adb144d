# SPDX-License-Identifier: Apache-2.0
"""Everything that latches the protective stop, and the one way to clear it."""
