"""URIs of T8 resources, absolute or relative as the profile has them."""

from urllib.parse import quote, urlsplit

from mock_network.scef.core.monitoring_model import Subscription
from mock_network.scef.core.nidd_model import Configuration
from mock_network.scef.core.parameters_model import Provision
from mock_network.scef.core.sms_model import Trigger

NIDD = "/3gpp-nidd/v1"
TRIGGERING = "/3gpp-device-triggering/v1"
MONITORING = "/3gpp-monitoring-event/v1"
PARAMETERS = "/3gpp-network-parameter-configuration/v1"

Owned = Configuration | Trigger | Subscription | Provision


class Links:
    """`root` is the apiRoot, without a trailing slash."""

    def __init__(self, root: str, *, relative: bool) -> None:
        self.root = urlsplit(root).path.rstrip("/") if relative else root

    def of(self, resource: Owned) -> str:
        """Return the link of a configuration, transaction or subscription."""
        match resource:
            case Configuration():
                base, collection = NIDD, "configurations"
            case Trigger():
                base, collection = TRIGGERING, "transactions"
            case Subscription():
                base, collection = MONITORING, "subscriptions"
            case Provision():
                base, collection = PARAMETERS, "configurations"
        return f"{self.root}{base}/{quote(resource.scs_as)}/{collection}/{resource.id}"

    def delivery(self, configuration: Configuration, delivery: str) -> str:
        """Return the link of a downlink data delivery."""
        return f"{self.of(configuration)}/downlink-data-deliveries/{delivery}"

    def port(self, configuration: Configuration, port: str) -> str:
        """Return the link of a reserved RDS port."""
        return f"{self.of(configuration)}/rds-ports/{port}"
