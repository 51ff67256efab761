"""What is said about a character beside its MJCF."""

import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.character_config import CharacterConfig, ServoConfig, config_beside, matching

WHOLE = """
control_hz = 20
physics_hz = 400
action_rad = 0.2
effectors = ["left_foot"]
fall = ["torso", "pelvis"]
[servo."*hip*"]
kp = 300
limit = 90
[servo.back]
kd = 0
[weights]
"left_*" = 0.5
[names]
torso = "spine"
left_thigh = ""
"""


def test_every_key_is_read(tmp_path):
    (tmp_path / "own.toml").write_text(WHOLE)
    cfg = config_beside(tmp_path / "own.xml")
    assert (cfg.control_hz, cfg.physics_hz, cfg.action_rad) == (20, 400, 0.2)
    assert (cfg.effectors, cfg.fall) == (("left_foot",), ("torso", "pelvis"))
    assert cfg.servo == {"*hip*": ServoConfig(kp=300, limit=90), "back": ServoConfig(kd=0)}
    assert (cfg.weights, cfg.names) == ({"left_*": 0.5}, {"torso": "spine", "left_thigh": ""})
    assert cfg.source == str(tmp_path / "own.toml")


def test_without_a_file_nothing_is_said(tmp_path):
    assert config_beside(tmp_path / "own.xml") == CharacterConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fps = 30", r"no key 'fps'; in .*own\.toml; there are: control_hz, physics_hz, action_rad, effectors, fall"),
        ("control_hz = ", r"own\.toml: is not valid TOML: "),
        ("control_hz = 0", r"own\.toml: control_hz: expected more than 0; it is 0"),
        ('control_hz = "30"', r"own\.toml: control_hz: expected a number that is not negative; it is '30'"),
        ("action_rad = true", r"own\.toml: action_rad: expected a number"),
        ("physics_hz = nan", r"own\.toml: physics_hz: expected a number"),
        ('fall = "torso"', r"own\.toml: fall: expected a list of names; it is 'torso'"),
        ("effectors = [1]", r"own\.toml: effectors: expected a name in quotes; it is 1"),
        ("servo = 3", r"own\.toml: \[servo\]: expected a table; it is 3"),
        ("[servo]\nknee = 3", r"own\.toml: \[servo\.'knee'\]: expected a table; it is 3"),
        ("[servo.knee]\nkpp = 3", r"no key 'kpp'; in .*own\.toml: \[servo\.'knee'\]; there are: kp, kd, limit"),
        ("[servo.knee]\nlimit = 0", r"\[servo\.'knee'\] limit: expected more than 0; it is 0"),
        ("[weights]\nknee = -1", r"\[weights\] 'knee': expected a number that is not negative; it is -1"),
        ("[names]\nknee = 1", r"\[names\] 'knee': expected a name in quotes; it is 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_with_file_and_key(text, message, tmp_path):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(BunrakuError, match=message) as refused:
        config_beside(tmp_path / "own.xml")
    assert "\n" not in str(refused.value)


def test_patterns_match_names_or_are_refused_with_those_there_are():
    assert matching("*_x", ["hip_x", "hip_y", "knee_x"], "joint", "own.toml") == ("hip_x", "knee_x")
    with pytest.raises(BunrakuError, match=r"no joint 'hipp\*'; in own\.toml; the character has: hip_x, hip_y"):
        matching("hipp*", ["hip_x", "hip_y"], "joint", "own.toml")
