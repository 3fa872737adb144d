# SPDX-License-Identifier: Apache-2.0
"""The recorder: writes all streams of an episode into one bag, as they arrive."""
