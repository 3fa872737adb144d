# SPDX-License-Identifier: Apache-2.0
"""Training runs: configuration, loop and checkpoints."""
