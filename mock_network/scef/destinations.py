"""APIs of which the SCS/AS is the server, without a subscription: SMS of UEs, and UEs without configuration."""

import dataclasses

from mock_network.scef.core import Scef, Ue, effects as e
from mock_network.scef.options import Options, ScsAs
from mock_network.scef.schema.sms import MsisdnLessMoSmsNotification, NiddConfigurationTrigger
from mock_network.scef.t8.bodies import features, plain
from mock_network.scef.t8.notices import Notice

NEF_ID = "mock-nef"
TRIGGER_INTERVAL = 60.0  # seconds between two NIDD configuration triggers for a UE
_ANYBODY = "scs-as"


@dataclasses.dataclass(slots=True)
class Urls:
    """Destinations of SCS/ASs that the SCEF does not know by name; they can change while it runs."""

    mo_sms: str | None = None
    nidd_trigger: str | None = None


class Destinations:
    """Knows for each UE which SCS/AS gets its SMS, and which one configures NIDD for it."""

    def __init__(self, scef: Scef, options: Options) -> None:
        self.urls = Urls(options.mo_sms_url, options.nidd_trigger_url)
        self._scef, self._scs_as = scef, options.scs_as
        self._told: dict[str, float] = {}

    def mo_sms(self, sms: e.DeliverSms) -> list[Notice]:
        """Return the notifications for an SMS; none without a destination."""
        ue = self._scef.cell.ues[sms.ue]
        identity = ue.settings.external_id
        found = self._destination(ue, "mo_sms_url", self.urls.mo_sms)
        if found is None or identity is None:
            self._scef.context.counts["MO SMS without destination"] += 1
            return []
        body = plain(
            MsisdnLessMoSmsNotification(
                supported_features="0", sms=sms.data, external_id=identity, application_port=sms.port
            )
        )
        scs_as, url = found
        return [Notice("mo-sms", scs_as, f"mo-sms {ue.name}", ue.name, url, body, str(sms.number))]

    def nidd_trigger(self, name: str, now: float) -> list[Notice]:
        """Return the notifications for a UE without configuration; none without a destination, or right after one."""
        ue = self._scef.cell.ues[name]
        found = self._destination(ue, "nidd_trigger_url", self.urls.nidd_trigger)
        if found is None or now < self._told.get(name, -TRIGGER_INTERVAL) + TRIGGER_INTERVAL:
            return []
        self._told[name] = now
        scs_as, url = found
        settings = ue.settings
        gpsi = f"extid-{settings.external_id}" if settings.external_id is not None else f"msisdn-{settings.msisdn}"
        trigger = NiddConfigurationTrigger(
            af_id=scs_as, nef_id=NEF_ID, gpsi=gpsi, supp_feat=features(self._scef.profile.features) or "0"
        )
        return [Notice("nidd-trigger", scs_as, f"nidd-trigger {name}", name, url, plain(trigger), name)]

    def _destination(self, ue: Ue, member: str, otherwise: str | None) -> tuple[str, str] | None:
        """Return name and URL of the first SCS/AS that may use the UE and has such a URL."""
        for one in self._scs_as:
            url = getattr(one, member)
            if url is not None and self._may_use(one, ue):
                return one.id, url
        return None if otherwise is None else (_ANYBODY, otherwise)

    def _may_use(self, one: ScsAs, ue: Ue) -> bool:
        identities = (ue.settings.external_id, ue.settings.msisdn)
        return any(self._scef.subscribers.may_access(one.id, identity) for identity in identities if identity)
