# SPDX-License-Identifier: Apache-2.0
"""Convert bags to the data sets of other projects, and back."""
