"""What OMA requires of LwM2M 1.1 (§6.1.1), taken away from the emulated device or the bridge, each with its test.

Those tests run the whole way, so each is seen to fail where the device does not do what it is to show.
"""

from typing import NamedTuple

from tests.mutations.mutations import Mutation

E2E = "tests/e2e/"
ACCOUNTS = E2E + "test_accounts.py::test_"
DATA = E2E + "test_data_and_reports.py::test_"
UPGRADES = E2E + "test_upgrades.py::test_"
OPERATIONS = E2E + "test_operations.py::test_"


class Removed(NamedTuple):
    """Labels as the requirements spell them, and the mutation that their tests must notice."""

    labels: tuple[str, ...]
    mutation: Mutation


REMOVED = [
    Removed(
        ("LightweightM2M-MBT-001",),
        Mutation(
            "a message over TCP has no code",
            "frame",
            "$head + bytes((code,)) + $rest",
            "$head + $rest",
            E2E + "test_tcp_server.py::test_a_device_is_managed_over_tcp_and_its_registration_follows_the_connection",
        ),
    ),
    Removed(
        ("LightweightM2M-MBT-002",),
        Mutation(
            "a Register says a binding that there is not",
            "_fit_binding",
            'b"b=" + letters.encode()',
            'b"b=X"',
            E2E + "test_one_story.py::test_the_story_of_a_device_is_the_same_over_each_network",
        ),
    ),
    Removed(
        ("LightweightM2M-ENC-1", "LightweightM2M-ENC-3"),
        Mutation(
            "a device answers in one format only",
            "Operations.content",
            "self._choose(path, records) if accept is None else parse_format(accept)",
            "self._choose(path, records)",
            OPERATIONS + "sensor_data_travel_in_compact_and_in_standard_formats",
        ),
    ),
    Removed(
        ("LightweightM2M-ENC-2",),
        Mutation(
            "tokens toward devices have two bytes",
            "EndpointState.allocate_token",
            "bytes((self.last_token,))",
            "bytes((self.last_token, 0))",
            DATA + "messages_are_small_on_the_air_and_many_pass_in_a_second",
        ),
    ),
    Removed(
        ("LightweightM2M-ENC-4",),
        Mutation(
            "links are no text",
            "TEXTS",
            "frozenset({DataType.STRING, DataType.CORELNK})",
            "frozenset({DataType.STRING})",
            DATA + "uris_have_a_data_type_of_their_own",
        ),
    ),
    Removed(
        ("LightweightM2M-ENC-5",),
        Mutation(
            "an unsigned integer has 63 bits",
            "_integer",
            "2 * _INT64",
            "_INT64",
            DATA + "bitmaps_have_a_data_type_all_of_whose_bits_pass",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-001",),
        Mutation(
            "a bootstrap server reads the Server object only",
            "_READABLE",
            "frozenset({SERVER, ACCESS_CONTROL})",
            "frozenset({SERVER})",
            ACCOUNTS + "the_bootstrap_server_reads_all_access_rights_of_a_device",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-002",),
        Mutation(
            "the trigger of bootstrap triggers nothing",
            "Device._trigger_bootstrap",
            "not self.lifecycle.bootstrap(...)",
            "False",
            ACCOUNTS + "a_bootstrap_server_that_manages_a_device_too_triggers_its_bootstrap",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-003",),
        Mutation(
            "a device falls back to bootstrap whatever its account says",
            "Lifecycle.answered",
            "failed and account.bootstrap_on_failure and $begun",
            "failed and $begun",
            ACCOUNTS + "a_device_falls_back_to_bootstrap_as_its_account_says_and_not_where_it_says_no",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-004",),
        Mutation(
            "pauses between attempts are a minute, whatever a resource says",
            "RetryPolicy.pause",
            "self.timer * $growth",
            "60.0 * $growth",
            ACCOUNTS + "resources_say_how_often_and_how_far_apart_a_device_tries_to_register",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-005",),
        Mutation(
            "servers register in the order of their numbers",
            "Lifecycle._begin_in_order",
            "(pair[0].order or 0, pair[0].server_id)",
            "pair[0].server_id",
            ACCOUNTS + "a_resource_says_in_which_order_a_device_registers",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-006",),
        Mutation(
            "a registration that failed blocks none",
            "Lifecycle._begin_in_order",
            "registration.phase is Phase.FAILED and account.failure_block",
            "False",
            ACCOUNTS + "resources_say_what_must_be_before_a_device_registers_with_a_server",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-007",),
        Mutation(
            "Bootstrap-Discover does not say whose accounts are",
            "bootstrap_discover",
            "_whose(tree, instance)",
            "{}",
            ACCOUNTS + "the_bootstrap_server_finds_out_which_accounts_are_invalid",
        ),
    ),
    Removed(
        ("LightweightM2M-BsR-008",),
        Mutation(
            "no values follow a Register",
            "Device._registered",
            "self._send_in_background(self.options.send_at_register, server)",
            "pass",
            ACCOUNTS + "values_that_the_device_names_follow_its_register_at_once",
        ),
    ),
    Removed(
        ("LightweightM2 M-MaU-1",),
        Mutation(
            "an upgrade resets the settings",
            "Firmware._finish",
            "not image.keeps_settings",
            "True",
            UPGRADES + "an_upgrade_keeps_the_settings",
        ),
    ),
    Removed(
        ("LightweightM2 M-MaU-2",),
        Mutation(
            "a device does not return to its old firmware",
            "Firmware._revert",
            "self._tree.restore(saved)",
            "",
            UPGRADES + "a_device_returns_to_the_firmware_that_ran_before",
        ),
    ),
    Removed(
        ("LightweightM2 M-MaU-3",),
        Mutation(
            "the settings of before an upgrade do not come back",
            "Firmware._restore_settings",
            "self._tree.restore(self._saved)",
            "",
            UPGRADES + "the_settings_of_before_an_upgrade_are_brought_back",
        ),
    ),
    Removed(
        ("LightweightM2 M-MaU-4", "LightweightM2 M-MaU-5"),
        Mutation(
            "initial registrations go out together",
            "Lifecycle._start_of",
            "max(now, ready + account.initial_delay) if registration.initial else now",
            "now",
            ACCOUNTS + "initial_registrations_lag_behind_each_other_as_resources_say",
        ),
    ),
    Removed(
        ("LightweightM2 M-RMo-001",),
        Mutation(
            "transitions are reported whatever the reporting mode",
            "Watched.evaluate",
            "rising is None or $_",
            "rising is None",
            DATA + "a_reporting_mode_says_which_transitions_are_reported",
        ),
    ),
    Removed(
        ("LightweightM2 M-RMo-002",),
        Mutation(
            "a notification has one cause at most",
            "Watched._add",
            "cause not in self.causes",
            "not self.causes",
            DATA + "a_device_that_is_to_report_causes_reports_all_of_them",
        ),
    ),
    Removed(
        ("LightweightM2 M-RMo-003",),
        Mutation(
            "the first condition of a resource counts alone",
            "Watched.evaluate",
            "thresholds.items()",
            "list(thresholds.items())[:1]",
            DATA + "several_conditions_hold_for_one_resource",
        ),
    ),
    Removed(
        ("LightweightM2 M-DSE-001",),
        Mutation(
            "a device knows no composite operations",
            "records_of",
            "request.content_format is None or $_",
            "True",
            OPERATIONS + "composite_operations_reach_several_objects_with_one_message",
        ),
    ),
    Removed(
        ("LightweightM2 M-DSE-002",),
        Mutation(
            "a write of one instance changes instance 0",
            "ObjectTree._put",
            "instances[path[3]] = fitting",
            "instances[0] = fitting",
            DATA + "one_instance_of_a_multiple_resource_is_set_and_retrieved",
        ),
    ),
    Removed(
        ("LightweightM2 M-DSE-003", "LightweightM2 M-DSE-005"),
        Mutation(
            "a Send carries no paths of objects",
            "Device.send",
            "encode(content_format, (), stamped, $types, root=root)",
            "encode(content_format, (), [], $types, root=root)",
            OPERATIONS + "send_reports_data_that_nobody_observes_and_is_answered",
        ),
    ),
    Removed(
        ("LightweightM2 M-DSE-004",),
        Mutation(
            "Send asks for no right",
            "Device.send",
            "self.access.allows(number, record.path, Right.READ)",
            "True",
            ACCOUNTS + "a_server_switches_send_for_itself_and_gets_what_it_may_read",
        ),
    ),
    Removed(
        ("LightweightM2 M-IR-001",),
        Mutation(
            "of several observed paths the first is watched",
            "Observation.begin",
            "zip(paths, conditions, strict=True)",
            "zip(paths[:1], conditions[:1], strict=True)",
            DATA + "resources_of_several_objects_are_reported_by_one_notification",
        ),
    ),
]
