# SPDX-License-Identifier: Apache-2.0
"""Play a recorded episode on the arm."""
