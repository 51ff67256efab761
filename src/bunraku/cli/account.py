"""`bunraku rig account`: what a capture could tell of a rig, and where the error of a take comes from.

The class is made when it is asked for, and annotations are evaluated at once, as in `bunraku.cli.rig`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from bunraku.cli.command import Command, RigCommand
from bunraku.core.progress import Progress

LISTED = 12  # names in a line; the JSON has all


def account() -> type[Command]:
    """`bunraku rig account`."""
    from bunraku.inversion.account import AccountConfig

    @dataclass(frozen=True, kw_only=True)
    class Account(RigCommand):
        """Which controls the capture does not see, which can be traded for others, and where the error comes from."""

        take: Positional[Path]
        """A take from `bunraku rig invert`."""
        rig: str | None = None
        """The rig, where it is not the one that the take names (a python: rig runs only when named here)."""
        out: Path | None = None
        """The JSON file to write; by default account.json in the take."""
        derivatives: Literal["auto", "rig", "model"] = "auto"
        """Where they come from: the rig (its own, or finite differences), the model that the take was solved on, or
        the rig where that takes a minute at most."""
        cfg: Annotated[AccountConfig, arg(name="")] = field(default_factory=AccountConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.account(
                self.take, self.rig, self.cfg, out=self.out, derivatives=self.derivatives, progress=progress
            )

        def show(self, result: Mapping[str, Any]) -> None:
            for line in told(result):
                print(line)

    return Account


def told(result: Mapping[str, Any]) -> Iterator[str]:
    """The account in plain words."""
    looked = result["looked_at"]
    yield (
        f"{result['take']}: {result['frames']} frames, {result['vertices']} vertices, "
        f"{len(result['controls'])} controls; {len(looked)} frames looked at, derivatives from "
        f"{result['derivatives_from']}"
    )
    yield from _told_errors(result)
    yield from _told_controls(result)
    yield from _told_groups(result["groups"])
    yield from _told_bounds(result)
    yield from _told_worst(result)
    yield f"all of it as JSON: {result['path']}"


def _told_errors(result: Mapping[str, Any]) -> Iterator[str]:
    errors = result["errors"]
    yield ""
    yield "Error (root mean square over vertices, in the rig's unit; in brackets of the diagonal)"
    said = {
        "total": "in all",
        "off_manifold": "off what the rig can do: no small change of the controls removes it",
        "held_by_bounds": "  of it, held back by bounds",
        "solver": "one more step would remove it: the solver, or what its priors asked for",
        "solver_confirmed": "  of it, removed when the true rig was asked",
        "approximation": "between the model and the rig, at the solved poses",
    }
    for key, words in said.items():
        if (figure := errors[key]) is not None:
            share = "" if figure["share"] is None or key == "total" else f", {_percent(figure['share'])} of the square"
            yield f"  {figure['rms']:<10.3g} ({_percent(figure['relative'])}{share})  {words}"
    if result["priors"]:
        named = ", ".join(f"{k} {v if isinstance(v, str) else f'{v:g}'}" for k, v in result["priors"].items())
        yield f"  priors were on ({named}): they cost mesh error"
    if result["noise"]["outliers"]:
        yield f"  {result['noise']['outliers']} outliers, (frame, vertex) pairs, are left out of it"


def _told_controls(result: Mapping[str, Any]) -> Iterator[str]:
    noise, controls = result["noise"], result["controls"]
    yield ""
    yield (
        f"What the capture sees, at a noise of {noise['sigma']:.3g} per coordinate "
        f"({_percent(noise['relative'])} of the diagonal; {result['sigma_from']})"
    )
    said = {
        "seen": "seen: known to 2 % of their range",
        "weakly seen": "weakly seen: to 2–25 % of their range",
        "not seen": "not seen: uncertain by more than 25 % of their range",
        "dead": "dead: they move no vertex",
        "held": "held: they could not move",
    }
    for key, words in said.items():
        rows = [row for row in controls if row["verdict"] == key]
        if not rows:
            continue
        named = [row["name"] for row in rows]
        if key in {"weakly seen", "not seen"}:
            rows = sorted(rows, key=lambda row: -_or_infinite(row["deviation"]))
            named = [f"{row['name']} ±{_deviation(row['deviation'])}" for row in rows]
        listed = "" if key == "seen" and len(named) > LISTED else f": {_listed(named)}"
        yield f"  {len(rows)} {words}{listed}"


def _told_groups(groups: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not groups:
        return
    yield ""
    yield "Interchangeable controls"
    for group in groups:
        ways = "one way" if group["freedom"] == 1 else f"{group['freedom']} ways"
        often = "" if group["frames"] == 1 else f", in {_percent(group['frames'])} of the frames"
        posed = "" if group["frame"] is None else f"; it changes with the pose, here of frame {group['frame']}"
        yield f"  {{{_listed(group['controls'])}}}: {ways}{often}{posed}"
        for trade in group["trades"][:LISTED]:
            yield f"    {_trade(trade)}; the mesh moves {_percent(trade['mesh_share'])} of what they move alone"


def _trade(trade: Mapping[str, Any]) -> str:
    names, steps = trade["controls"][:LISTED], trade["step"][:LISTED]
    ratio = " : ".join(f"{step:.3g}" for step in steps)
    more = "" if len(trade["controls"]) == len(names) else f" … ({len(trade['controls']) - len(names)} more)"
    return f"{names[0]} can be traded for {', '.join(names[1:])}{more}, {ratio}"


def _told_bounds(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (side, row["name"], row[f"at_{side}"])
        for row in result["controls"]
        for side in ("lower", "upper")
        if row[f"at_{side}"]["frames"] and not row[f"at_{side}"]["is_neutral"]
    ]
    active = [row for row in result["controls"] if row["active_frames"]]
    yield ""
    yield f"{len(active)} of {len(result['controls'])} controls are active (over 2 % of their range from neutral)"
    for side, name, at in sorted(rows, key=lambda row: -row[2]["frames"])[:LISTED]:
        runs = _listed([str(a) if a == b else f"{a}–{b}" for a, b in at["runs"]])
        yield f"  {name} is at its {side} bound in {at['frames']} of {result['frames']} frames: {runs}"
    if len(rows) > LISTED:
        yield f"  … and {len(rows) - LISTED} more"


def _told_worst(result: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    frames = [f"{row['frame']} ({row['mean']:.3g})" for row in result["worst_frames"]]
    yield f"Worst frames (mean distance): {', '.join(frames)}"
    yield "Worst vertices (mean distance, largest in frame): nearest controls"
    for row in result["worst_vertices"]:
        near = ", ".join(row["near"]) or "no control moves it"
        yield f"  {row['vertex']} ({row['mean']:.3g}, {row['max']:.3g} in {row['worst_frame']}): {near}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f", … ({len(names) - LISTED} more)" if len(names) > LISTED else "")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _deviation(share: float | None) -> str:
    return "∞" if share is None or share > 10 else _percent(share)


def _or_infinite(share: float | None) -> float:
    return float("inf") if share is None else share
