# SPDX-License-Identifier: Apache-2.0
"""The recorder: every stream of an episode into one bag, as it arrives."""
