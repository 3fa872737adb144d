# SPDX-License-Identifier: Apache-2.0
"""Sequences of calls to xs_sdk: start-up with a check of the arm, torque, reboot, reading one register."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from interbotix_xs_msgs.srv import OperatingModes, Reboot, RegisterValues, RobotInfo, TorqueEnable

from ptr_bringup.arm.drivers.interbotix.profile import Profile
from ptr_bringup.arm.drivers.interbotix.service_sequencer import Call, SequenceError, Steps
from ptr_bringup.arm.model.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER
from ptr_bringup.arm.model.wx250s import WX250S

SERVICES = {
    "get_robot_info": RobotInfo,
    "set_operating_modes": OperatingModes,
    "set_motor_registers": RegisterValues,
    "get_motor_registers": RegisterValues,
    "torque_enable": TorqueEnable,
    "reboot_motors": Reboot,
}
ARM, GRIPPER, ALL = "arm", "gripper", "all"
_SLOW = 10.0
"""s, timeout of calls that write EEPROM or restart motors."""
_BOOT = 0.7
"""s until a motor answers again after a reboot."""


def start_up(profile: Profile, on_differences: Callable[[Sequence[str]], None]) -> Steps:
    """Check the arm, and set its modes and profile.

    A motor loses its torque while its mode is changed: the arm twitches, or drops what it can't hold. So modes are
    changed only if they differ; it is best to start xs_sdk with our mode configuration. The profile is always written
    (its registers are in RAM, without that effect) and read back.

    Args:
        on_differences: called with the differences between this arm and our model, one sentence each.
    """
    arm = yield Call("get_robot_info", RobotInfo.Request(cmd_type="group", name=ARM))
    if wrong := wrong_arm(arm):
        raise SequenceError(wrong)
    on_differences(differences(arm))
    gripper = yield Call("get_robot_info", RobotInfo.Request(cmd_type="single", name=GRIPPER))
    if (arm.mode, arm.profile_type) != ("position", profile.kind):
        request = OperatingModes.Request(cmd_type="group", name=ARM, mode="position", profile_type=profile.kind)
        request.profile_velocity, request.profile_acceleration = profile.velocity, profile.acceleration
        yield Call("set_operating_modes", request, _SLOW)
    if gripper.mode != "pwm":
        request = OperatingModes.Request(cmd_type="single", name=GRIPPER, mode="pwm", profile_type="velocity")
        yield Call("set_operating_modes", request, _SLOW)
    yield from write_profile(profile)


def write_profile(profile: Profile) -> Steps:
    """Write the profile registers of the arm, and read back the more important one."""
    for register, value in (("Profile_Velocity", profile.velocity), ("Profile_Acceleration", profile.acceleration)):
        request = RegisterValues.Request(cmd_type="group", name=ARM, reg=register, value=value)
        yield Call("set_motor_registers", request)
    answer = yield Call(
        "get_motor_registers", RegisterValues.Request(cmd_type="group", name=ARM, reg="Profile_Velocity")
    )
    values = list(answer.values)
    if len(values) < len(WX250S.motor_ids):
        motor = JOINT_NAMES[len(values)]
        raise SequenceError(f"The motor of {motor} does not answer; check its cable, or reboot the motors.")
    if any(value != profile.velocity for value in values):
        raise SequenceError(f"Profile_Velocity is {values} although {profile.velocity} was written.")


def switch_torque(on: bool) -> Steps:
    """Switch the torque of all motors."""
    yield Call("torque_enable", TorqueEnable.Request(cmd_type="group", name=ALL, enable=on), _SLOW)


def reboot(motors: Sequence[str], profile: Profile) -> Steps:
    """Reboot motors by name, or all that have an error if none is given, and restore their profile.

    They are rebooted one by one because xs_sdk's smart reboot ignores the shadow motors.
    """
    requests = [Reboot.Request(cmd_type="single", name=motor) for motor in motors]
    for request in requests or [Reboot.Request(cmd_type="group", name=ALL, smart_reboot=True)]:
        yield Call("reboot_motors", request, _SLOW)
    yield _BOOT
    yield from write_profile(profile)


def read_register(motor: str, register: str, on_values: Callable[[Sequence[int]], None]) -> Steps:
    """Read one register of one motor."""
    request = RegisterValues.Request(cmd_type="single", name=motor, reg=register)
    answer = yield Call("get_motor_registers", request)
    on_values(answer.values)


_LIMIT_TOLERANCE = 2e-3
"""rad. Published limits are whole degrees, ours are rounded to the third decimal."""
_SLEEP_TOLERANCE = 0.02


class Info(Protocol):
    """The fields of get_robot_info's response that are used."""

    joint_names: Sequence[str]
    joint_ids: Sequence[int]
    joint_lower_limits: Sequence[float]
    joint_upper_limits: Sequence[float]
    joint_sleep_positions: Sequence[float]


def wrong_arm(info: Info) -> str:
    """Empty if the group `arm` has the six joints in their order, otherwise a sentence."""
    if tuple(info.joint_names) == JOINT_NAMES:
        return ""
    there = ", ".join(info.joint_names) or "no joints"
    return f"The group 'arm' of xs_sdk has {there}, not the six joints of a WidowX 250; use robot_model:=wx250s."


def differences(info: Info) -> tuple[str, ...]:
    """One sentence for each difference between the arm and our model; limits unknown to xs_sdk are skipped."""
    found = []
    for name, number, ours in zip(JOINT_NAMES, info.joint_ids, WX250S.motor_ids, strict=False):
        if number != ours:
            found.append(f"The motor of {name} has id {number} instead of {ours}.")
    for kind, theirs, limits in (
        ("lower", info.joint_lower_limits, JOINT_LOWER),
        ("upper", info.joint_upper_limits, JOINT_UPPER),
    ):
        for name, value, limit in zip(JOINT_NAMES, theirs, limits, strict=False):
            if abs(value - limit) > _LIMIT_TOLERANCE:
                found.append(f"The {kind} limit of {name} is {value:.3f} rad instead of {limit:.3f}.")
    for name, value, sleep in zip(JOINT_NAMES, info.joint_sleep_positions, WX250S.named_joints["sleep"], strict=False):
        if abs(value - sleep) > _SLEEP_TOLERANCE:
            found.append(f"The sleep position of {name} is {value:.3f} rad instead of {sleep:.3f}.")
    return tuple(found)
