from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyservice_core import ServiceConfig
from anyservice_core.errors import ConfigError
from anyservice_core.models.compute import ComputeConfig, MultiResourceComputeConfig, bytes_of
from anyservice_core.models.machines import deployment, is_same, shown, template
from anyservice_core.models.wire import ComputeSpec, ComputeTemplateWire, DeploymentSpec
from anyservice_core.operations.compute import Compute, cloud_of, resolve
from anyservice_core.settings import Workspace

INLINE = {
    "head_node": {"instance_type": "m5.xlarge"},
    "worker_nodes": [{"instance_type": "g5.xlarge", "min_nodes": 1, "max_nodes": 2, "market_type": "spot"}],
}
MAIN = {"id": "cld_1", "name": "main"}
USUAL = {
    "id": "cpt_0",
    "config": {"cloud_id": "cld_1", "head_node_type": {"name": "h", "instance_type": "m5.large"}},
}


def config(compute_config=None, **fields):
    return ServiceConfig(
        name="a", applications=[{"import_path": "main:app"}], compute_config=compute_config, **fields
    )


def spec(compute_config, *, cloud_id="cld_1"):
    """What goes over the wire for a compute config."""
    default = DeploymentSpec.model_validate(USUAL["config"])
    given_config = config(compute_config).compute_config
    several = isinstance(given_config, MultiResourceComputeConfig)
    parts = given_config.configs if several else [given_config]
    return template(
        cloud_id, [deployment(part, default, given_config.flags if several else None) for part in parts]
    )


def made(compute_config, **fields):
    return {
        "id": "cpt_9",
        "config": spec(compute_config),
        "anonymous": True,
        "name": "x",
        "version": 2,
        **fields,
    }


# ── on the wire ──


def test_a_config_written_out_is_the_contract_s():
    """Said twice, head without work beside workers, nothing null."""
    part = {
        "head_node_type": {
            "name": "head-node",
            "instance_type": "m5.xlarge",
            "resources": {"cpu": 0, "gpu": 0},
        },
        "worker_node_types": [
            {
                "name": "g5.xlarge",
                "instance_type": "g5.xlarge",
                "min_workers": 1,
                "max_workers": 2,
                "use_spot": True,
                "fallback_to_ondemand": False,
            }
        ],
        "auto_select_worker_config": False,
        "flags": {"allow-cross-zone-autoscaling": False},
    }
    assert spec(INLINE) == {"cloud_id": "cld_1", "deployment_configs": [part], **part}


@pytest.mark.parametrize("workers", [{}, {"worker_nodes": []}])
def test_a_head_alone_works(workers):
    """Its resources are the machine's own."""
    head = spec({"head_node": {"instance_type": "m5.xlarge"}, **workers})["head_node_type"]
    assert head == {"name": "head-node", "instance_type": "m5.xlarge"}


def test_without_a_head_it_is_the_cloud_s():
    """As the default compute config has it."""
    head = spec({"worker_nodes": [{"instance_type": "a"}]})["head_node_type"]
    assert head == {"name": "head-node", "instance_type": "m5.large", "resources": {"cpu": 0, "gpu": 0}}


@pytest.mark.parametrize(
    ("market", "flags"),
    [("ON_DEMAND", (False, False)), ("SPOT", (True, False)), ("prefer_spot", (True, True))],
)
def test_markets_are_two_flags(market, flags):
    """In any case."""
    worker = spec({"worker_nodes": [{"instance_type": "a", "market_type": market}]})["worker_node_types"][0]
    assert (worker["use_spot"], worker["fallback_to_ondemand"]) == flags


def test_everything_has_its_place():
    """What Ray calls CPU the API calls cpu, and what it does not know goes with the custom ones."""
    whole = spec(
        {
            "cloud_resource": "east",
            "zones": ["a"],
            "enable_cross_zone_scaling": True,
            "min_resources": {"CPU": 1},
            "max_resources": {"GPU": 4},
            "advanced_instance_config": {"x": 1},
            "flags": {"f": 1},
            "head_node": {
                "required_resources": {"CPU": 4, "memory": "8Gi", "tpu_hosts": 1},
                "resources": {"CPU": 1},
            },
            "worker_nodes": [
                {
                    "required_resources": {"CPU": 8, "memory": "16Gi", "GPU": 1, "accelerator": "T4"},
                    "resources": {"memory": 5, "rare": 2},
                    "labels": {"a": "b"},
                    "required_labels": {"c": "d"},
                    "cloud_deployment": {"region": "r"},
                    "flags": {"g": 2},
                }
            ],
        }
    )
    part = whole["deployment_configs"][0]
    assert part["cloud_deployment"] == "east"
    assert "cloud_deployment" not in {key for key in whole if key != "deployment_configs"}
    assert whole["allowed_azs"] == ["a"]
    assert whole["advanced_configurations_json"] == {"x": 1}
    assert whole["flags"] == {
        "f": 1,
        "allow-cross-zone-autoscaling": True,
        "min_resources": {"CPU": 1},
        "max_resources": {"GPU": 4},
    }
    assert whole["head_node_type"] == {
        "name": "head-node",
        "instance_type": "custom",
        "resources": {"cpu": 1},
        "required_resources": {"cpu": 4, "memory": 8 * 2**30, "anyscale_tpu_hosts": 1},
    }
    worker = whole["worker_node_types"][0]
    assert worker["name"] == "FP-8CPU-16GB-1GPU-T4"
    assert worker["resources"] == {"memory": 5, "custom_resources": {"rare": 2}}
    assert worker["flags"] == {"g": 2, "cloud_deployment": {"region": "r"}}
    assert (worker["labels"], worker["required_labels"]) == ({"a": "b"}, {"c": "d"})


def test_several_resources_of_a_cloud_share_flags():
    """The first is said twice; its own flags come before those for all."""
    both = spec({"flags": {"f": 1, "g": 1}, "configs": [{"cloud_resource": "e", "flags": {"f": 2}}, INLINE]})
    first, second = both["deployment_configs"]
    assert first["flags"] == {"f": 2, "g": 1, "allow-cross-zone-autoscaling": False}
    assert second["flags"] == {"f": 1, "g": 1, "allow-cross-zone-autoscaling": False}
    assert both["head_node_type"] == first["head_node_type"]


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ({"head": {}}, "compute_config.head: no such field; did you mean 'head_node'"),
        ({"head_node": {}}, "compute_config.head_node.instance_type: missing"),
        ({"head_node": {"instance_type": "a", "required_resources": {"CPU": 1}}}, "exclude each other"),
        ({"worker_nodes": [{"instance_type": "a", "min_nodes": 5, "max_nodes": 2}]}, "max_nodes: 2 is less"),
        ({"worker_nodes": [{"instance_type": "a", "market_type": "bid"}]}, "worker_nodes.0.market_type"),
        ({"head_node": {"required_resources": {"memory": "8 gigs"}}}, "'8 gigs' is not an amount of memory"),
        ({"configs": []}, "compute_config.configs"),
        ({"cloud": "a", "configs": [{"cloud": "b"}]}, "not also of 'b'"),
        (3, "neither the name"),
    ],
)
def test_what_cannot_be_is_named(compute, said):
    """By field, before anything is asked."""
    with pytest.raises(ConfigError, match=said):
        config(compute)


@pytest.mark.parametrize(("text", "size"), [("8Gi", 2**33), ("500M", 5 * 10**8), (7, 7), ("1.5Ki", 1536)])
def test_memory_is_read_as_kubernetes_does(text, size):
    """With and without a unit."""
    assert bytes_of(text) == size


# ── read back ──


names = st.text("abc", min_size=1, max_size=3)
counts = st.dictionaries(st.sampled_from(["CPU", "GPU", "memory", "rare"]), st.integers(0, 9), min_size=1)
nodes = st.fixed_dictionaries(
    {"instance_type": names},
    optional={
        "resources": counts,
        "labels": st.dictionaries(names, names, min_size=1),
        "flags": st.just({"x": 1}),
    },
)
workers = st.builds(lambda node, more: {**node, **more}, nodes, st.fixed_dictionaries(
    {"name": names},
    optional={"min_nodes": st.integers(0, 3), "market_type": st.sampled_from(["SPOT", "PREFER_SPOT"])},
))  # fmt: skip
singles = st.fixed_dictionaries(
    {"head_node": nodes, "worker_nodes": st.lists(workers, max_size=2)},
    optional={
        "cloud_resource": names,
        "zones": st.lists(names, min_size=1, max_size=2),
        "enable_cross_zone_scaling": st.booleans(),
        "min_resources": counts,
        "advanced_instance_config": st.just({"a": {"b": None}}),
    },
)


@given(singles.filter(lambda single: single["head_node"].get("resources") != {"CPU": 0, "GPU": 0}))
@settings(deadline=None)
def test_what_is_registered_can_be_read_back(single):
    """A config without a name is shown as it was written out."""
    sent = ComputeTemplateWire.model_validate(made(single))
    assert ComputeConfig(**shown(sent).to_dict()) == ComputeConfig(**single)
    assert is_same(sent.config, ComputeSpec.model_validate(spec(single)))


def test_a_named_one_is_shown_by_name():
    """And version."""
    assert shown(ComputeTemplateWire.model_validate(made(INLINE, anonymous=False))) == "x:2"
    both = shown(ComputeTemplateWire.model_validate(made({"configs": [INLINE, INLINE]})))
    assert len(both.configs) == 2


@pytest.mark.parametrize(
    "other",
    [
        {**INLINE, "head_node": {"instance_type": "m5.2xlarge"}},
        {**INLINE, "worker_nodes": []},
        {**INLINE, "zones": ["a"]},
        {**INLINE, "flags": {"x": 1}},
        {"configs": [INLINE, INLINE]},
    ],
)
def test_other_machines_are_not_the_same(other):
    """Each field counts."""
    assert not is_same(ComputeSpec.model_validate(spec(INLINE)), ComputeSpec.model_validate(spec(other)))


def test_what_the_server_fills_in_is_the_same():
    """Zones of `any`, and nulls."""
    there = ComputeSpec.model_validate({**spec(INLINE), "deployment_configs": None, "allowed_azs": ["any"]})
    assert is_same(ComputeSpec.model_validate(spec(INLINE)), there)


# ── resolved ──


def test_one_written_out_is_registered(hold, shapes):
    """Without a name, as a new version."""
    talk = hold(resolve(config(INLINE)), shapes.result(MAIN), shapes.result(made(INLINE)))
    assert talk.result == Compute("cpt_9", "cld_1")
    assert talk.requests[-1].json == {"config": spec(INLINE), "anonymous": True, "new_version": True}


def test_one_that_is_in_use_already_is_not_registered_again(hold, shapes):
    """It is compared with those of the service's own versions."""
    other = made({**INLINE, "zones": ["a"]}, id="cpt_1")
    answers = [shapes.result(MAIN), shapes.result(other), shapes.result(made(INLINE, id="cpt_2"))]
    talk = hold(resolve(config(INLINE), ["cpt_1", "cpt_1", "cpt_2"]), *answers)
    assert talk.result == Compute("cpt_2", "cld_1")
    assert talk.lines[1:] == ["GET /api/v2/compute_templates/cpt_1", "GET /api/v2/compute_templates/cpt_2"]


def test_a_head_of_the_cloud_s_own_is_asked_for(hold, shapes):
    """By the resource, where the config names one."""
    wanted = config({"cloud_resource": "east"})
    resource = shapes.result({"cloud_resource_id": "cldrsrc_1", "name": "east"})
    talk = hold(
        resolve(wanted), shapes.result(MAIN), resource, shapes.result(USUAL), shapes.result(made(INLINE))
    )
    assert talk.requests[1].params == {"cloud_resource_name": "east"}
    assert talk.requests[2].params == {"cloud_id": "cld_1", "cloud_resource_id": "cldrsrc_1"}


def test_an_unknown_resource_is_named(talk, shapes):
    """It is the user's to mend."""
    with pytest.raises(ConfigError, match="compute_config.cloud_resource: .*'east'"):
        talk.hold(resolve(config({"cloud_resource": "east"})), [shapes.result(MAIN), shapes.error(404)])


def test_two_clouds_are_one_too_many(talk, shapes):
    """Said before anything is registered; two names of one cloud are fine."""
    other = shapes.result({"id": "cld_2", "name": "other"})
    with pytest.raises(ConfigError, match="'cloud: other' is not in cloud 'main'"):
        talk.hold(resolve(config({**INLINE, "cloud": "other"}, cloud="main")), [shapes.result(MAIN), other])
    found = shapes.page({"id": "cpt_1", "config": {"cloud_id": "cld_2"}})
    with pytest.raises(ConfigError, match="'gpu' is not in cloud 'main'"):
        talk.hold(resolve(config("gpu", cloud="main")), [shapes.result(MAIN), found])


def test_a_cloud_is_known_without_registering(hold, shapes):
    """That of the config, of its compute config, or the default."""
    assert hold(cloud_of(config({**INLINE, "cloud": "cld_7"}))).result == "cld_7"
    assert hold(cloud_of(config(cloud="cld_8"))).result == "cld_8"
    found = shapes.page({"id": "cpt_1", "config": {"cloud_id": "cld_2"}})
    assert hold(cloud_of(config("gpu")), found).result == "cld_2"


# ── inside a workspace ──


def test_a_workspace_s_machines_are_the_default(talk, shapes):
    """Unless a cloud is named."""
    talk.workspace = Workspace("expwrk_1", "ses_1")
    cluster = shapes.result({"id": "ses_1", "cluster_compute_id": "cpt_5"})
    talk.hold(resolve(config()), [cluster, shapes.result({**USUAL, "id": "cpt_5"})])
    assert talk.result == Compute("cpt_5", "cld_1")
    talk.hold(resolve(config(cloud="cld_3")), [shapes.result({**USUAL, "id": "cpt_6"})])
    assert talk.result == Compute("cpt_6", "cld_3")


def test_a_workspace_that_picks_its_workers_lends_only_its_flags(talk, shapes):
    """The rest is the cloud's own, with an idle head."""
    talk.workspace = Workspace("expwrk_1", "ses_1")
    cluster = shapes.result({"id": "ses_1", "cluster_compute_id": "cpt_5"})
    auto = {
        "id": "cpt_5",
        "config": {**USUAL["config"], "auto_select_worker_config": True, "flags": {"f": 1}},
    }
    talk.hold(
        resolve(config()), [cluster, shapes.result(auto), shapes.result(USUAL), shapes.result(made(INLINE))]
    )
    sent = talk.requests[-1].json["config"]
    assert (sent["flags"], sent["auto_select_worker_config"]) == ({"f": 1}, True)
    assert sent["head_node_type"]["resources"] == {"CPU": 0}
