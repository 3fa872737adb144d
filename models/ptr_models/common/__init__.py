# SPDX-License-Identifier: Apache-2.0
"""What every package of the suite may import: no ROS and no PyTorch in here."""
