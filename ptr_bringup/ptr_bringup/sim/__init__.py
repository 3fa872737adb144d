# SPDX-License-Identifier: Apache-2.0
"""The simulated WidowX 250 6-DoF in toy kitchens. Only the nodes use ROS and a clock."""
