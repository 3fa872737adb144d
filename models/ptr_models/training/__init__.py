# SPDX-License-Identifier: Apache-2.0
"""Training runs: configuration, loop, checkpoints, and the policy that comes out."""
