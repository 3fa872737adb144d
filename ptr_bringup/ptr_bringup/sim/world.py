# SPDX-License-Identifier: Apache-2.0
"""The simulated world: arm, kitchen, food and receptacle, or a door; physics and images without ROS or a clock."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_bringup.arm.model import kinematics
from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import FINGER_OPEN, JOINT_NAMES, Pose
from ptr_bringup.arm.motors.readings import HardwareError
from ptr_bringup.sim import arm_mjcf, cameras, door_stage, objects
from ptr_bringup.sim.cameras import CAMERAS, OVER_SHOULDER, WRIST, Appearance
from ptr_bringup.sim.distractors import Distractors
from ptr_bringup.sim.door_stage import DoorStage
from ptr_bringup.sim.door_tasks import DoorScene, DoorTask
from ptr_bringup.sim.kitchens import SPAWN_HALF, Kitchen, Surface, kitchen_named
from ptr_bringup.sim.levels import DEFAULT_LEVEL, MAX_DISTRACTORS, Level, level_named
from ptr_bringup.sim.motors import Motors
from ptr_bringup.sim.objects import FoodItem
from ptr_bringup.sim.renderer import Renderer, mujoco
from ptr_bringup.sim.shapes import text
from ptr_bringup.sim.tasks import Scene, Task, success, task_named
from ptr_bringup.sim.textures import texture_png
from ptr_bringup.sim.torque_off import TorqueOffArm
from ptr_models.common import rotations

Array = NDArray[np.float64]
TIMESTEP = 0.005
"""Physics step (s)."""
START_POSITION: Array = np.array([0.30, 0.0, 0.15])
START_JOINTS: Array = np.array([0.0, 0.022, 0.183, 0.0, 1.366, 0.0])


@dataclass(frozen=True)
class Variation:
    """Ranges of a seed's variation: the arm's start (m), the camera (m, rad), and the strength of the rest."""

    start: tuple[float, float, float] = (0.012, 0.012, 0.010)
    camera_position: float = 0.008
    camera_angle: float = 0.012
    look: float = 1.0


def _material(name: str, surface: Surface) -> str:
    return (
        f'<texture name="{name}" type="2d" file="{name}.png"/>'
        f'<material name="{name}" texture="{name}" texuniform="true" texrepeat="{surface.repeat} {surface.repeat}" '
        f'specular="{surface.shine}" shininess="0.3"/>'
    )


def distractors_of(kitchen: Kitchen, task: Task | DoorTask, level: Level) -> tuple[FoodItem, ...]:
    """Items that may be distractors for a task in a kitchen; a scene shows some of them."""
    if not level.distractors[1] or isinstance(task, DoorTask):
        return ()
    others = [item for item in objects.FOOD.values() if item.name != task.item]
    rng = np.random.default_rng(list(f"{kitchen.name}/{task.name}".encode()))
    return tuple(others[i] for i in rng.permutation(len(others))[:MAX_DISTRACTORS])


def _things(kitchen: Kitchen, task: Task | DoorTask, level: Level) -> tuple[str, str]:
    """Assets and bodies of a scene: item, receptacle and distractors, or a door."""
    if isinstance(task, DoorTask):
        return door_stage.staged(task, kitchen.name)
    distractors = distractors_of(kitchen, task, level)
    foods = objects.food_body(task.food, level) + "".join(
        objects.food_body(item, level, f"distractor_{i}") for i, item in enumerate(distractors)
    )
    shiny = f'<material name="shiny" specular="{task.vessel.shine}" shininess="0.6"/>'
    meshes = "".join(map(objects.food_assets, (task.food, *distractors)))
    assets = shiny + meshes + objects.receptacle_assets(task.vessel)
    return assets, objects.receptacle_body(task.vessel) + foods


def scene_xml(kitchen: Kitchen, task: Task | DoorTask, level: Level) -> str:
    """MJCF of a kitchen with the task's objects, distractors and the arm."""
    assets, things = _things(kitchen, task, level)
    furniture = "".join(
        f'<body name="clutter_{i}" pos="{text(b.position)}"><geom type="{b.kind}" size="{text(b.size)}" '
        f'rgba="{text(b.color)} 1" contype="0" conaffinity="0"/></body>'
        for i, b in enumerate(kitchen.clutter)
    )
    return f"""<mujoco model="{kitchen.name}">
<compiler angle="radian" autolimits="true"/>
<option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="30"
 ls_iterations="20"/>
<size memory="8M"/>
<visual><global offwidth="1280" offheight="960"/><quality shadowsize="1024" offsamples="0"/>
<headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
<map zfar="6"/></visual>
<default>{arm_mjcf.defaults()}</default>
<asset>{_material("counter", kitchen.counter)}{_material("wall", kitchen.wall)}
{assets}</asset>
<worldbody>
<light name="lamp" pos="{text(kitchen.light)}" dir="0 0 -1" directional="true" castshadow="false" diffuse="0.6 0.6 0.6"
 specular="0.2 0.2 0.2"/>
{cameras.camera_xml(OVER_SHOULDER, kitchen.camera, kitchen.fovy)}
<geom name="counter" type="box" size="0.7 0.55 0.02" pos="0.35 0.15 -0.02" material="counter"
 friction="{level.friction} 0.01 {level.rolling}"/>
<geom name="wall" type="box" size="0.7 0.02 0.25" pos="0.35 -0.42 0.2" material="wall" contype="0" conaffinity="0"/>
<geom name="side_wall" type="box" size="0.02 0.55 0.25" pos="0.80 0.15 0.2" material="wall" contype="0"
 conaffinity="0"/>
{furniture}{things}{arm_mjcf.body(cameras.wrist_xml())}
</worldbody>
<actuator>{arm_mjcf.actuators()}</actuator>
<equality>{arm_mjcf.equalities()}</equality>
</mujoco>"""


@functools.lru_cache(maxsize=64)
def _textures(kitchen_name: str) -> dict[str, bytes]:
    kitchen = kitchen_named(kitchen_name)
    return {
        f"{part}.png": texture_png(s.kind, s.base, s.accent, f"{kitchen.name}/{part}")
        for part, s in (("counter", kitchen.counter), ("wall", kitchen.wall))
    }


class World:
    """One kitchen with one task. Everything is determined by `reset(seed)` and the given targets.

    Args:
        kitchen: name of a kitchen.
        task: a task or its name.
        level: name of the level, see `levels`.
    """

    def __init__(self, kitchen: str, task: Task | DoorTask | str, level: str = DEFAULT_LEVEL) -> None:
        self.task = task_named(task) if isinstance(task, str) else task
        self.kitchen = door_stage.prepared(kitchen_named(kitchen), self.task)
        self.level = level_named(level)
        self.model = mujoco.MjModel.from_xml_string(scene_xml(self.kitchen, self.task, self.level), _textures(kitchen))
        self.data = mujoco.MjData(self.model)
        self.motors = Motors(np.array([*arm_mjcf.JOINT_EFFORT_LIMITS, 2 * arm_mjcf.FINGER_FORCE_LIMIT]))
        self.drop_spot: Array = np.array(self.kitchen.drop_spot)
        self._renderers: dict[tuple[int, int], Renderer] = {}
        self._joint = np.array([self.model.joint(n).qposadr[0] for n in (*JOINT_NAMES, "left_finger", "right_finger")])
        self._speed = np.array([self.model.joint(n).dofadr[0] for n in (*JOINT_NAMES, "left_finger", "right_finger")])
        self.door: DoorStage | None = None
        if isinstance(self.task, DoorTask):
            self.door = DoorStage(self.task, self.task.door(kitchen), self.model, self.data)
        else:
            self._object_q = int(self.model.joint("object").qposadr[0])
            self._object_v = int(self.model.joint("object").dofadr[0])
            self._object, self._receptacle = self.model.body("object").id, self.model.body("receptacle").id
        self._distractors = Distractors(self.model, distractors_of(self.kitchen, self.task, self.level))
        self._cameras = {name: int(self.model.camera(name).id) for name in CAMERAS}
        self._camera_poses: dict[str, tuple[str, Pose]] = {}
        self._tool = self.model.site("ee_gripper_link").id
        self._original = {
            "clutter": self.model.body_pos.copy(),
            "rgba": self.model.geom_rgba.copy(),
            "gain": self.model.actuator_gainprm.copy(),
            "bias": self.model.actuator_biasprm.copy(),
            "gravity": self.model.body_gravcomp.copy(),
        }
        self._torque_off = TorqueOffArm(self.model)
        self.reset(0)

    def reset(self, seed: int, variation: Variation | None = None) -> None:
        """Set up a new scene: the seed determines object, receptacle, look and the arm's start."""
        variation = variation or Variation()
        rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
        mujoco.mj_resetData(self.model, self.data)
        self.motors = Motors(np.array([*arm_mjcf.JOINT_EFFORT_LIMITS, 2 * arm_mjcf.FINGER_FORCE_LIMIT]))
        self._restore_torque()
        self._vary_look(rng, variation)
        self._tint(np.random.default_rng(np.random.SeedSequence([seed, 17])), variation)
        mounting = np.random.default_rng(np.random.SeedSequence([seed, 27]))
        self._aim(WRIST, *cameras.moved_wrist(mounting, 0.25 * variation.camera_position, variation.camera_angle))
        if self.door is not None:
            self.door.place(rng)
        elif isinstance(self.task, Task):
            self._place_things(rng, self.task)
        start = START_POSITION + rng.uniform(-1.0, 1.0, 3) * np.asarray(variation.start)
        start += self.door.start_shift if self.door is not None else 0.0
        joints = inverse(Pose(start, rotations.DEFAULT_ROTATION), START_JOINTS)
        if joints is None:
            raise ValueError(f"the arm's start {start.round(3)} m is out of reach")
        self.place_arm(joints, FINGER_OPEN)
        mujoco.mj_step(self.model, self.data, nstep=40)

    def place_arm(self, joints: ArrayLike, finger: float) -> None:
        """Set the arm to joints (6,) in rad and the fingers to `finger` (m), at rest."""
        self.data.qpos[self._joint[:6]] = joints
        self.data.qpos[self._joint[6:]] = finger
        self.data.qvel[self._speed] = 0.0
        self.data.ctrl[:6], self.data.ctrl[6] = joints, finger
        mujoco.mj_forward(self.model, self.data)

    def _vary_look(self, rng: np.random.Generator, variation: Variation) -> None:
        kitchen, model, strength = self.kitchen, self.model, variation.look * self.level.light
        light = np.asarray(kitchen.light) + rng.uniform(-0.25, 0.25, 3) * [1, 1, 0] * strength
        aim = np.array([0.3, 0.0, 0.0]) - light
        model.light_pos[0], model.light_dir[0] = light, aim / np.linalg.norm(aim)
        lamp = kitchen.lamp * (1.0 + 0.15 * strength * rng.uniform(-1, 1))
        warmth = kitchen.warmth + 0.2 * strength * rng.uniform(-1, 1)
        model.light_diffuse[0] = np.clip(lamp * np.array([1 + 0.12 * warmth, 1.0, 1 - 0.18 * warmth]), 0, 1)
        model.vis.headlight.ambient[:] = 0.33 + 0.05 * strength * rng.uniform(-1, 1)
        place = cameras.moved(kitchen.camera, kitchen.look_at, rng, variation.camera_position, variation.camera_angle)
        self._aim(OVER_SHOULDER, *place)
        model.body_pos[:] = self._original["clutter"]
        for i in range(len(kitchen.clutter)):
            body = model.body(f"clutter_{i}").id
            model.geom_rgba[model.body_geomadr[body], :3] = np.clip(
                self._original["rgba"][model.body_geomadr[body], :3] * (1 + 0.1 * strength * rng.uniform(-1, 1)), 0, 1
            )
        shift = rng.uniform(-0.012, 0.012, 2) * strength
        for i in range(len(kitchen.clutter)):
            model.body_pos[model.body(f"clutter_{i}").id, :2] += shift

    def _aim(self, camera: str, position: Array, axes: Array) -> None:
        """Set a camera's position and rotation in the frame of its body."""
        index = self._cameras[camera]
        self.model.cam_pos[index] = position
        mujoco.mju_mat2Quat(self.model.cam_quat[index], axes.ravel())
        self._camera_poses[camera] = cameras.optical_pose(camera, position, axes)

    def _tint(self, rng: np.random.Generator, variation: Variation) -> None:
        """Vary the shades of counter and wall; no variation at level `easy`."""
        strength = max(0.0, variation.look * self.level.light - 1.0)
        for name in ("counter", "wall"):
            self.model.mat_rgba[self.model.material(name).id, :3] = 1.0 - 0.25 * strength * rng.uniform(0.0, 1.0, 3)

    def _place_things(self, rng: np.random.Generator, task: Task) -> None:
        """Place the receptacle near its spot, the object in it (take) or beside it (put), and distractors."""
        kitchen, level = self.kitchen, self.level
        spot = np.asarray(kitchen.receptacle_spot) + rng.uniform(-1.0, 1.0, 2) * level.receptacle_shift
        self.model.body_pos[self._receptacle] = [*spot, 0.0]
        self.model.body_quat[self._receptacle] = [1, 0, 0, 0]
        self.drop_spot = np.asarray(kitchen.drop_spot) + rng.uniform(-0.025, 0.025, 2)
        height = task.food.rest_height + 0.001
        place: Array | None
        if task.skill == "take":
            place, height = spot + rng.uniform(-0.010, 0.010, 2), height + task.vessel.floor_height
        else:
            place = self._free_place(rng, task, spot, task.food, [])
            if place is None:
                raise ValueError(f"no free place for {task.item} beside {task.receptacle} in {kitchen.name}")
        yaw = rng.uniform(-1.0, 1.0) * level.yaw + (np.pi if rng.random() < 0.5 else 0.0)
        self.data.qpos[self._object_q : self._object_q + 7] = [*place, height, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        self._lay_distractors(rng, task, spot, place)

    def _lay_distractors(self, rng: np.random.Generator, task: Task, spot: Array, place: Array) -> None:
        """Place some distractors around the item and the drop spot; those without room are left out."""
        self._distractors.clear(self.data)
        if not self._distractors.items:
            return
        taken = [place, np.asarray(self.kitchen.drop_spot)] if task.skill == "take" else [place]
        wanted = int(rng.integers(self.level.distractors[0], self.level.distractors[1] + 1))
        for index in rng.permutation(len(self._distractors.items))[:wanted]:
            free = self._free_place(rng, task, spot, self._distractors.items[index], taken, spread=1.7)
            if free is not None:
                self._distractors.lay(self.data, int(index), free, rng.uniform(-np.pi, np.pi))
                taken.append(free)

    def _free_place(
        self,
        rng: np.random.Generator,
        task: Task,
        spot: Array,
        item: FoodItem,
        taken: list[Array],
        spread: float = 1.0,
    ) -> Array | None:
        """A place (x, y) beside the receptacle at `spot` and clear of the objects at `taken`; None if there is none."""
        apart = task.vessel.outer_radius + item.half[0] + 0.03
        for _ in range(1000):
            place = np.asarray(self.kitchen.spawn_center) + rng.uniform(-1, 1, 2) * np.asarray(SPAWN_HALF) * spread
            near = any(np.hypot(*(place - other)) < self.level.clearance for other in taken)
            if np.hypot(*(place - spot)) > apart and not near:
                return place
        return None

    def set_torque(self, motor: int, on: bool) -> None:
        """Switch a motor's torque (0-5 joints, 6 gripper). Without torque it yields, and gravity pulls the arm down.

        A motor that was shut down by an error stays without torque until it is rebooted.
        """
        on = on and not self.motors.shut_down(motor)
        self.motors.torque[motor] = on
        scale = 1.0 if on else 0.0
        self.model.actuator_gainprm[motor] = self._original["gain"][motor] * scale
        self.model.actuator_biasprm[motor] = self._original["bias"][motor] * scale
        carried = self._original["gravity"] > 0.0  # the arm's bodies
        self.model.body_gravcomp[carried] = float(self.motors.torque[:6].all())
        self._torque_off.adapt(self.motors.torque)

    def trip(self, motor: int, error: HardwareError) -> None:
        """Make a motor report an error until it is rebooted; it goes limp if the error is in `SHUTDOWN`."""
        self.motors.errors[motor] |= error
        if self.motors.shut_down(motor):
            self.set_torque(motor, False)

    def reboot(self, motor: int) -> None:
        """Clear a motor's errors; it has no torque afterwards."""
        self.motors.errors[motor] = HardwareError.NONE
        self.set_torque(motor, False)

    def _restore_torque(self) -> None:
        for motor in range(7):
            self.set_torque(motor, True)

    def step(self, joint_targets: ArrayLike, finger_target: float, duration: float = TIMESTEP) -> None:
        """Advance physics by `duration` s towards joint targets (6,) in rad and a finger target in m."""
        self.data.ctrl[:6] = joint_targets
        self.data.ctrl[6] = finger_target
        mujoco.mj_step(self.model, self.data, nstep=max(1, round(duration / TIMESTEP)))
        self.motors.advance(self.joint_efforts, duration)

    @property
    def time(self) -> float:
        """Simulated seconds since the reset."""
        return float(self.data.time)

    @property
    def joint_positions(self) -> Array:
        """(6,) rad."""
        return self.data.qpos[self._joint[:6]].copy()

    @property
    def joint_velocities(self) -> Array:
        """(6,) rad/s."""
        return self.data.qvel[self._speed[:6]].copy()

    @property
    def joint_efforts(self) -> Array:
        """(7,) N m of the joints and N of the gripper, including the load of the arm's weight."""
        efforts = self.data.actuator_force.copy()
        efforts[:6] += self.data.qfrc_gravcomp[self._speed[:6]]
        return efforts * self.motors.torque

    @property
    def finger(self) -> float:
        """Position of a finger (m from the center line)."""
        return float(self.data.qpos[self._joint[6:]].mean())

    @property
    def gripper(self) -> float:
        """Measured opening, 0 closed to 1 open."""
        return float(np.clip(kinematics.gripper_from_finger(self.finger), 0.0, 1.0))

    @property
    def tool_pose(self) -> Pose:
        """Pose of `ee_gripper_link` from the measured joints."""
        return kinematics.forward(self.joint_positions)

    def object_poses(self) -> dict[str, tuple[Array, Array]]:
        """Position (3,) in m and quaternion (4,) w x y z in `base_link`: item, receptacle, then distractors.

        With a door: its handle, then the door itself.
        """
        if self.door is not None:
            return self.door.object_poses()
        return {
            self.task.item: (self.data.xpos[self._object].copy(), self.data.xquat[self._object].copy()),
            self.task.receptacle: (self.model.body_pos[self._receptacle].copy(), np.array([1.0, 0.0, 0.0, 0.0])),
        } | self._distractors.poses(self.data)

    def scene(self) -> Scene | DoorScene:
        """The current scene."""
        return self._food_scene() if self.door is None else self._door_scene(self.door)

    def _door_scene(self, door: DoorStage) -> DoorScene:
        return door.scene(self.gripper, self.data.site_xpos[self._tool].copy())

    def _food_scene(self) -> Scene:
        velocity = self.data.qvel[self._object_v : self._object_v + 3]
        axis = self.data.xmat[self._object][[0, 3]]
        return Scene(
            self.data.xpos[self._object].copy(),
            float(np.linalg.norm(velocity)),
            self.model.body_pos[self._receptacle].copy(),
            self.gripper,
            self.data.site_xpos[self._tool].copy(),
            float(np.arctan2(axis[1], axis[0])),
        )

    def successful(self) -> bool:
        """True if the task is done."""
        if self.door is not None:
            return self.door.successful(self._door_scene(self.door))
        return isinstance(self.task, Task) and success(self.task, self._food_scene())

    def camera_pose(self, camera: str = OVER_SHOULDER) -> tuple[str, Pose]:
        """The frame that a camera is fixed to, and the pose of its optical frame in it."""
        return self._camera_poses[camera]

    def camera_fovy(self, camera: str = OVER_SHOULDER) -> float:
        """Vertical field of view of a camera (deg)."""
        return float(self.model.cam_fovy[self._cameras[camera]])

    def appearance(self) -> Appearance:
        """Poses of all shapes and cameras, for a later `render` in the same scene."""
        return Appearance(*(part.copy() for part in self._seen()))

    def _seen(self) -> tuple[Array, ...]:
        return self.data.geom_xpos, self.data.geom_xmat, self.data.cam_xpos, self.data.cam_xmat

    def _show(self, appearance: Appearance) -> None:
        for part, values in zip(self._seen(), appearance, strict=True):
            part[:] = values

    def render(
        self,
        width: int = 640,
        height: int = 480,
        appearance: Appearance | None = None,
        camera: str = OVER_SHOULDER,
    ) -> NDArray[np.uint8]:
        """Image of a camera: RGB (height, width, 3), now or for an earlier `appearance`."""
        if appearance is not None:
            now = self.appearance()
            self._show(appearance)
            try:
                return self.render(width, height, camera=camera)
            finally:
                self._show(now)
        images = self._renderers.get((width, height))
        if images is None:
            images = self._renderers[(width, height)] = Renderer(self.model, width, height)
        return images.draw(self.data, self._cameras[camera], cameras.NEAR[camera])

    def close(self) -> None:
        """Close the renderers."""
        for images in self._renderers.values():
            images.close()
        self._renderers.clear()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
