"""A character with all that decides its task: as a user names it, or as a run has kept it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bunraku.core.errors import BunrakuError
from bunraku.mimic.clip_task import FOLLOWS, ClipTask, clip_config
from bunraku.mimic.fitting import fall_of, fitting_clip
from bunraku.mimic.hosting import HostedWorld, character_of, is_hosted, open_world, reopen_world
from bunraku.mimic.keeping import CHARACTER, CLIP, keep

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.imitation.character import Character
    from bunraku.imitation.clip_environment import ClipConfig
    from bunraku.imitation.environment import EnvironmentConfig, SimulatedEnvironment
    from bunraku.imitation.policy import Policy
    from bunraku.imitation.presets import Preset
    from bunraku.imitation.rewards import RewardFunction
    from bunraku.imitation.run import Run, Subject
    from bunraku.imitation.start import StartConfig

CLIP_REWARDS = ("auto", "deepmimic", "literal")
REWARDS = ("auto", "bopbag", "literal", "deepmimic")
Which = Literal["best", "last"]
HOSTED = "host"
"""The setting under which a run keeps what simulated it, where MuJoCo did not."""


@dataclass(frozen=True)
class Task:
    """A character with all that decides its task."""

    character: Character
    cfg: EnvironmentConfig
    judged_from: StartConfig
    """Where episodes of an evaluation start."""
    clip: Clip | None
    clip_identity: Mapping[str, Any] | None
    reward_name: str
    reward: RewardFunction | None
    name: str
    world: HostedWorld | None = None
    """What simulates, where MuJoCo does not."""

    def environment(self, count: int, episode_s: float | None = None) -> SimulatedEnvironment:
        """So many characters with this task, episodes as long as in training unless said."""
        from bunraku.imitation.environment import SimulatedEnvironment

        cfg = replace(self.cfg, count=count, episode_s=episode_s or self.cfg.episode_s)
        simulate = None if self.world is None else self.world.simulate
        return SimulatedEnvironment(self.character, cfg, self.clip, self.reward, simulate)

    def exam(self, count: int, episode_s: float) -> SimulatedEnvironment:
        """The same from the starts that policies are judged by."""
        return replace(self, cfg=replace(self.cfg, start=self.judged_from)).environment(count, episode_s)

    @property
    def subject(self) -> Subject:
        """What a run is bound to."""
        from bunraku.imitation.run import Subject

        cfg = self.cfg
        settings = {
            "reward": self.reward_name,
            "clip": self.clip_identity,
            "episode_s": cfg.episode_s,
            "fall_rad": cfg.fall_rad,
            "start": asdict(cfg.start),
            "judged_from": asdict(self.judged_from),
            "files": sorted(self.character.files),
            **({} if self.world is None else {HOSTED: self.world.identity()}),
        }
        return Subject(self.name, self.character.hash, self.character.physics_hz, settings)

    def keep(self, out: Path) -> None:
        """Copy the character and the clip into the run, which must be playable when the originals have changed."""
        keep(out, self.character, self.clip)


def open_task(
    source: str,
    clip: str | Path | None,
    reward: str,
    environment: EnvironmentConfig | ClipConfig | None,
    algorithm: Literal["ppo", "awr"] | None,
    threads: int,
    *,
    mend: bool = False,
) -> Task | ClipTask:
    """A task as a user names it.

    Raises:
        BunrakuError: unknown character, clip or reward.
    """
    from bunraku.core import artifact
    from bunraku.formats.clip import load_clip
    from bunraku.imitation.character import open_character
    from bunraku.imitation.environment import EnvironmentConfig
    from bunraku.imitation.simulation import SimulationConfig
    from bunraku.imitation.start import StartConfig

    if threads < 1:
        raise BunrakuError(f"threads = {threads}: expected at least 1")
    hosted = is_hosted(source)
    character = open_character(character_of(source) if hosted else source)
    if character.free:
        assert environment is None or not isinstance(environment, EnvironmentConfig)
        return _open_clip_task(character, source, clip, reward, environment, threads, mend)
    assert environment is None or isinstance(environment, EnvironmentConfig)
    loaded = None if clip is None else load_clip(Path(clip))
    identity = None if clip is None else {"path": str(clip), "sha256": artifact.file_hash(Path(clip))}
    function = _users_reward(reward) if reward.startswith("python:") else None
    if function is None and reward not in REWARDS:
        raise BunrakuError(f"no reward {reward!r}; there are: {', '.join(REWARDS)}, python:module:function")
    preset = preset_of(character, algorithm)
    judged_from = environment.start if environment else StartConfig()
    cfg = environment or EnvironmentConfig(
        episode_s=preset.episode_s, start=replace(judged_from, tilt_rad=preset.tilt_rad)
    )
    if reward == "auto":
        reward = cfg.reward
    named = {"auto": "auto", "bopbag": "bopbag", "literal": "literal", "deepmimic": "deepmimic"}
    cfg = replace(cfg, reward=named.get(reward, "auto"), simulation=SimulationConfig(threads=threads))
    if not hosted:
        return Task(character, cfg, judged_from, loaded, identity, reward, function, source)
    # Other programs let all episodes begin together, and at rest.
    cfg = replace(cfg, start=replace(cfg.start, spin_rad_s=0.0))
    judged_from = replace(judged_from, spin_rad_s=0.0)
    world = open_world(source, character)
    return Task(character, cfg, judged_from, loaded, identity, reward, function, source, world)


def _open_clip_task(
    character: Character,
    source: str,
    clip: str | Path | None,
    reward: str,
    cfg: ClipConfig | None,
    threads: int,
    mend: bool,
) -> ClipTask:
    from bunraku.imitation.clip_environment import ClipConfig
    from bunraku.imitation.simulation import SimulationConfig

    if clip is None:
        raise BunrakuError(f"{source}: moves freely through the world; expected --clip, the motion that it imitates")
    if reward not in CLIP_REWARDS and not reward.startswith("python:"):
        there = ", ".join(CLIP_REWARDS)
        raise BunrakuError(f"no reward {reward!r} for clips; there are: {there}, python:module:function")
    function = _users_reward(reward) if reward.startswith("python:") else None
    cfg = cfg or ClipConfig(episode_s=preset_of(character, "ppo").episode_s, fall=fall_of(clip, character))
    cfg = replace(cfg, simulation=SimulationConfig(threads=threads))
    fitting = fitting_clip(clip, character, mend=mend)
    return ClipTask(character, cfg, fitting.clip, fitting.identity, reward, function, source)


def preset_of(character: Character, algorithm: Literal["ppo", "awr"] | None) -> Preset:
    """The settings that a character is trained with: by awr, as its article has it, the bop bag; by ppo the others."""
    from bunraku.imitation.presets import following_ppo, preset

    if character.free:
        if algorithm == "awr":
            raise BunrakuError(f"{character.name}: clips are learnt by ppo; awr is for the bop bags")
        return following_ppo()
    return preset(character.name, algorithm or ("awr" if character.name == "bopbag" else "ppo"))


def _users_reward(source: str) -> Callable[[Any], Any]:
    import importlib
    import sys

    from bunraku.compute.attempt import attempt

    module, _, function = source.removeprefix("python:").partition(":")
    if not module or not function:
        raise BunrakuError(f"{source}: expected python:module:function")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    tried = attempt(importlib.import_module, module)
    if tried.failure is not None:
        raise BunrakuError(f"{source}: importing {module} failed: {tried.failure}")
    found: Callable[[Any], Any] | None = getattr(tried.value, function, None)
    if found is None or not callable(found):
        raise BunrakuError(f"{source}: {module} has no function {function!r}")
    return found


def reopen_task(out: Path, run: Run, character: str | None) -> Task | ClipTask:
    """The character of a run as the run keeps it, or as a file has it now."""
    from bunraku.formats.clip import load_clip
    from bunraku.imitation.character import character_from_xml, open_character
    from bunraku.imitation.environment import EnvironmentConfig
    from bunraku.imitation.start import StartConfig

    settings, name = dict(run.subject.task), run.subject.name
    follows = settings.get(FOLLOWS)
    missing = set[str]() if follows else {"episode_s", "fall_rad", "start", "judged_from"} - settings.keys()
    if missing:
        raise BunrakuError(f"{out}: does not say what its task was (lacks {', '.join(sorted(missing))})")
    if character is not None:
        found = open_character(character_of(character) if is_hosted(character) else character)
    else:
        folder = (out / CHARACTER).resolve()
        found = character_from_xml(
            _kept(folder, "character.xml").decode(errors="replace"),
            name,
            {file: _kept(folder, file) for file in settings.get("files", [])},
        )
    clip = load_clip(out / CLIP) if settings.get("clip") else None
    if follows and clip:
        # A user's function is code: it is not run again to judge a policy.
        return ClipTask(found, clip_config(follows, out), clip, settings["clip"], "auto", None, character or name)
    reward = settings.get("reward", "auto")
    cfg = EnvironmentConfig(
        episode_s=settings["episode_s"],
        # A user's function is code: it is not run again to judge a policy.
        reward=reward if reward in REWARDS else "auto",
        fall_rad=settings["fall_rad"],
        start=StartConfig(**settings["start"]),
    )
    judged_from = StartConfig(**settings["judged_from"])
    world = _world_of(settings, found, name, character)
    return Task(found, cfg, judged_from, clip, settings.get("clip"), reward, None, character or name, world)


def _world_of(settings: Mapping[str, Any], found: Character, name: str, character: str | None) -> HostedWorld | None:
    """What simulates a run's character: MuJoCo (None), or the program that the run or the user names."""
    if character is not None:
        return open_world(character, found) if is_hosted(character) else None
    return reopen_world(name, found, settings[HOSTED]) if HOSTED in settings else None


def _kept(folder: Path, name: str) -> bytes:
    file = (folder / name).resolve()
    if not file.is_relative_to(folder):
        raise BunrakuError(f"{folder}: names a file outside of it: {name}")
    try:
        return file.read_bytes()
    except OSError as error:
        raise BunrakuError(f"{file}: cannot be read ({error.strerror})") from None


def load_trained(path: Path, character: str | None) -> tuple[Run, Task | ClipTask]:
    """A run and its character, which must be the one that it was trained with."""
    from bunraku.imitation.run import load_run

    run = load_run(path)
    task = reopen_task(path, run, character)
    load_run(path, replace(run.subject, hash=task.character.hash, physics_hz=task.character.physics_hz))
    return run, task


def policy_of(run: Run, which: Which) -> Policy:
    """One of a run's two policies."""
    return run.best if which == "best" else run.last
