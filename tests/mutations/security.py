"""What OMA requires of security (§6.1.3), taken away from the emulated device or the bridge, each with its test."""

from tests.mutations.mutations import Mutation
from tests.mutations.requirements import Removed

ACCOUNTS = "tests/e2e/test_accounts.py::test_"
CERTIFICATES = "tests/e2e/test_certificates.py::test_"
GUIDANCE = "tests/e2e/test_dtls_and_tls_guidance.py::test_"
DTLS = "tests/end_to_end_security/test_emulated_dtls.py::test_"
BEYOND = "tests/end_to_end_security/test_attacked_beyond.py::test_"
OSCORE = "tests/end_to_end_security/test_attacked_oscore.py::test_"

# DTLS refuses the record of a response when it comes again, and CoAP a token that is not the request's. Each protects
# without the other, so only a server without both can be wrong: it keeps what each record said, and what it last asked.
BOTH_LAYERS = """
said, asked = self.__dict__.setdefault("said", {}), self.__dict__.setdefault("asked", {})
if not asked:
    arrived, send = self._arrived, self.send
    self._arrived = lambda message, its: (said.update({asked["record"]: message}), arrived(message, its))
    self.send = lambda message, its: (asked.update({its: message}), send(message, its))[1]
if datagram in said and peer in asked:
    last, old = asked[peer], said[datagram]
    self._arrived(old[:2] + last[2 : 4 + (last[0] & 15)] + old[4 + (old[0] & 15) :], peer)
    return
asked["record"] = datagram
session.connection.bio_write(datagram)
"""

REMOVED = [
    Removed(
        ("LightweightM2M-BsR-009",),
        Mutation(
            "a device uses its first APN whatever a server designates",
            "Bearers.choose",
            "apn and bearer.options.apn == apn",
            "False",
            ACCOUNTS + "a_server_designates_the_apn_over_which_it_is_reached",
        ),
    ),
    Removed(
        ("LightweightM2M-SCS-1", "LightweightM2M-SCS-2", "LightweightM2M-SCS-3"),
        Mutation(
            "a secure component signs no challenge",
            "SecureComponent.written",
            "isinstance(challenge, bytes)",
            "False",
            ACCOUNTS + "a_server_authenticates_a_device_by_its_secure_component",
        ),
    ),
    Removed(
        ("LwM2M-SCS-4", "LwM2M-SCS-5", "LwM2M-SCS-6"),
        Mutation(
            "anybody says where an instance is stored",
            "SecureComponent._check_link",
            "self._access.owner($_) != server",
            "False",
            ACCOUNTS + "the_owner_says_where_an_instance_is_stored_and_who_may_read_asks",
        ),
    ),
    Removed(
        ("LightweightM2 M-PKI-001",),
        Mutation(
            "revocation lists are read and not asked",
            "prepare",
            "store.set_flags($_)",
            "",
            CERTIFICATES + "the_status_of_a_certificate_is_checked_and_registration_goes_on_when_the_error_is_mended",
        ),
    ),
    Removed(
        ("LightweightM2 M-PKI-002",),
        Mutation(
            "a device's clock takes no time from anybody",
            "DeviceClock.write",
            "self._offset = $_",
            "pass",
            ACCOUNTS + "a_device_without_a_clock_gets_the_time_by_bootstrap",
        ),
    ),
    Removed(
        ("LightweightM2 M-PKI-003",),
        Mutation(
            "any certificate is accepted",
            "_Judge.judge",
            "good or self._trust.authorities is None",
            "True",
            CERTIFICATES + "a_server_is_known_by_the_authority_of_its_certificate_and_by_its_name",
        ),
    ),
    Removed(
        ("LightweightM2 M-TLS-001",),
        Mutation(
            "sessions name no server",
            "OpenSsl.client",
            "connection.set_tlsext_host_name($_)",
            "pass",
            GUIDANCE + "guidance_names_each_topic_and_sessions_begin_as_it_says",
        ),
    ),
    Removed(
        ("LightweightM2 M-TLS-002",),
        Mutation(
            "no alert is kept",
            "Settings._informed",
            "self._alerted($_)",
            "pass",
            DTLS + "an_alert_is_kept_where_the_server_reads_it_and_the_device_registers_again_by_its_own_procedure",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E -2",),
        Mutation(
            "sessions of the ends encrypt nothing",
            "_PSK_SUITES",
            'b"PSK-AES128-CCM8:PSK-AES128-CBC-SHA256:@SECLEVEL=0"',
            'b"PSK-NULL-SHA256:@SECLEVEL=0"',
            DTLS + "an_emulated_device_is_managed_over_a_session_of_its_own_and_a_kill_of_the_bridge",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-3",),
        Mutation(
            "an end that has a key speaks in plain text",
            "ClientSessions.secures",
            "return $_",
            "return False",
            DTLS + "an_operation_whose_record_is_replayed_is_carried_out_once",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E -4",),
        Mutation(
            "a server asks no session who it is",
            "DtlsSessions.identity_of",
            "return $_",
            "return None",
            DTLS + "who_has_not_the_key_is_nobody_and_who_has_one_is_nobody_else",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-5",),
        Mutation(
            "a record that comes again is taken, and its response for one to the latest request",
            "DtlsSessions.receive",
            "session.connection.bio_write($_)",
            BOTH_LAYERS,
            DTLS + "the_response_to_one_request_is_not_taken_for_that_to_another",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-6",),
        Mutation(
            "an Echo value is good for ever",
            "Freshness.challenge",
            "now - issued <= self._seconds",
            "True",
            DTLS + "a_request_that_is_held_back_is_asked_for_again_and_not_carried_out_late",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-8",),
        Mutation(
            "a device with an OSCORE context sends in plain text",
            "Client.request",
            "self._contexts.of($_)",
            "None",
            OSCORE + "all_that_passes_is_encrypted_and_the_bridge_keeps_nothing_readable",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-9",),
        Mutation(
            "each message has a replay window of its own",
            "SecurityContexts.of",
            "keys not in self._contexts",
            "True",
            OSCORE + "a_request_that_is_replayed_is_carried_out_once",
        ),
    ),
    Removed(
        ("LightweightM2M-E2Eo-4", "LightweightM2M-E2Eo-10"),
        Mutation(
            "what a message for an application says counts without OSCORE",
            "answer",
            "message.opt.oscore is None",
            "perform(Request('0.03', tuple(message.opt.uri_path), (), message.payload)) is None",
            BEYOND + "nobody_between_speaks_for_an_end",
        ),
    ),
    Removed(
        ("LightweightM2M-E2Eo-6", "LightweightM2M-E2Eo -12"),
        Mutation(
            "any Echo value will do",
            "Freshness.challenge",
            "issued is not None and $_",
            "request.echo is not None",
            BEYOND + "what_is_held_back_is_not_carried_out_late",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-12",),
        Mutation(
            "no request has to be fresh",
            "Freshness.challenge",
            "request.code not in CHANGING",
            "True",
            OSCORE + "a_request_that_is_held_back_is_asked_for_again_and_not_carried_out_late",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-1",),
        Mutation(
            "a server answers in plain text though a client has a session with it",
            "ServerSessions.secures",
            "return $_",
            "return False",
            DTLS + "a_record_that_is_changed_on_its_way_is_not_carried_out",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-7",),
        Mutation(
            "a server asks a device with which it has an OSCORE context in plain text",
            "LwM2mServer._request.full",
            "self.identities.contexts.get($_)",
            "None",
            OSCORE + "a_request_that_is_changed_on_its_way_is_not_carried_out",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-10",),
        Mutation(
            "a device believes plain requests of a server with which it has an OSCORE context",
            "Senders.of",
            "self._contexts.of(one.security) is None",
            "True",
            OSCORE + "the_bridge_can_neither_command_the_device_nor_end_its_registration",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-11",),
        Mutation(
            "a response that belongs to no request is believed",
            "protect_request",
            "raise OscoreError($_) from None",
            "return response",
            OSCORE + "the_response_to_one_request_is_not_taken_for_that_to_another",
        ),
    ),
    Removed(
        ("LightweightM2M-E2E-13",),
        Mutation(
            "blocks of a transfer are not protected",
            "Requests._transact",
            "request.security is not None",
            "request.security is not None and message.opt.block1 is None",
            OSCORE + "each_fragment_of_a_firmware_is_verified_by_itself",
        ),
    ),
    Removed(
        ("LightweightM2M-E2Eo-1", "LightweightM2M-E2Eo-7"),
        Mutation(
            "a request for an application that cannot be verified is carried out as it is",
            "answer",
            "return _encoded(refused.response)",
            "return _encoded(Message(code=dotted(perform(Request('0.03', ('setting',))).code)))",
            BEYOND + "what_is_changed_on_its_way_is_neither_carried_out_nor_believed",
        ),
    ),
    Removed(
        ("LightweightM2M-E2Eo-2", "LightweightM2M-E2Eo -8"),
        Mutation(
            "a request for an application goes in plain text",
            "Asking.__init__",
            "_encoded(protected)",
            "_encoded(message)",
            BEYOND + "nobody_between_reads_anything",
        ),
    ),
    Removed(
        ("LightweightM2M-E2Eo-3", "LightweightM2M-E2Eo -9"),
        Mutation(
            "sequence numbers of requests are forgotten",
            "open_request",
            "opened, identifiers = context.unprotect(message)",
            "context.recipient_replay_window.initialize_empty()\nopened, identifiers = context.unprotect(message)",
            BEYOND + "what_is_replayed_is_carried_out_once",
        ),
    ),
    Removed(
        ("LightweightM2M-E2Eo -5", "LightweightM2M-E2Eo -11"),
        Mutation(
            "an answer of an application is not verified",
            "Asking.verify",
            "self._verify(_decoded(data))",
            "_decoded(data)",
            BEYOND + "the_response_to_one_request_is_not_taken_for_that_to_another",
        ),
    ),
]
