# SPDX-License-Identifier: Apache-2.0
"""The simulated WidowX 250 6-DoF in toy kitchens. No ROS and no clock in here; only `node.py` has them."""
