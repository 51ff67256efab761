"""A character that follows a clip, with all that decides its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.core.errors import BunrakuError

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.imitation.character import Character
    from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
    from bunraku.imitation.following import Following
    from bunraku.imitation.rewards import Reward
    from bunraku.imitation.run import Subject

FOLLOWS = "follows"
"""The setting under which a run keeps its `ClipConfig`."""


@dataclass(frozen=True)
class ClipTask:
    """A character with a free root, the clip that it follows, and how."""

    character: Character
    cfg: ClipConfig
    clip: Clip
    """Carried over to the character."""
    clip_identity: Mapping[str, Any]
    reward_name: str
    reward: Callable[[Following], Any] | None
    """A user's function."""
    name: str

    def environment(self, count: int, episode_s: float | None = None) -> ClipEnvironment:
        """So many characters with this task, episodes as long as in training unless said."""
        from bunraku.imitation.clip_environment import ClipEnvironment

        cfg = replace(self.cfg, count=count, episode_s=episode_s or self.cfg.episode_s)
        return ClipEnvironment(self.character, self.clip, cfg, self._reward())

    def _reward(self) -> Callable[[Following], Reward]:
        from bunraku.imitation.following_rewards import following_reward, literal_following_reward
        from bunraku.imitation.rewards import users_reward

        if self.reward is not None:
            return users_reward(self.reward)
        return literal_following_reward if self.reward_name == "literal" else following_reward

    def exam(self, count: int, episode_s: float) -> ClipEnvironment:
        """The same as policies are judged: only falls end an episode, and starts are spread evenly."""
        from bunraku.imitation.phases import PhasesConfig

        judged = replace(self.cfg, stray_m=0.0, stray_rad=0.0, phases=PhasesConfig(uniform=1.0))
        return replace(self, cfg=judged).environment(count, episode_s)

    @property
    def subject(self) -> Subject:
        """What a run is bound to."""
        from bunraku.imitation.run import Subject

        follows = {name: value for name, value in asdict(self.cfg).items() if name not in ("count", "simulation")}
        follows["fall"] = None if self.cfg.fall is None else list(self.cfg.fall)
        settings = {
            FOLLOWS: follows,
            "reward": self.reward_name,
            "clip": dict(self.clip_identity),
            "files": sorted(self.character.files),
        }
        return Subject(self.name, self.character.hash, self.character.physics_hz, settings)

    def keep(self, out: Path) -> None:
        """Copy the character and the clip into the run, which must be playable when the originals have changed."""
        from bunraku.mimic.keeping import keep

        keep(out, self.character, self.clip)


def clip_config(settings: Mapping[str, Any], owner: Path) -> ClipConfig:
    """The `ClipConfig` that a run keeps.

    Raises:
        BunrakuError: the run, `owner`, is of a version that had other settings.
    """
    from bunraku.imitation.clip_environment import ClipConfig
    from bunraku.imitation.phases import PhasesConfig

    values = dict(settings)
    fall = values.pop("fall")
    phases = values.pop("phases")
    for given, kind in ((phases, PhasesConfig), (values, ClipConfig)):
        unknown = sorted(given.keys() - {each.name for each in fields(kind)})
        if unknown:
            raise BunrakuError(f"{owner}: was trained by another version, with settings unknown here: {unknown[0]}")
    return ClipConfig(fall=None if fall is None else tuple(fall), phases=PhasesConfig(**phases), **values)
