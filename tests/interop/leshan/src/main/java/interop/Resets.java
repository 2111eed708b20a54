package interop;

import org.eclipse.californium.core.coap.CoAP.Type;
import org.eclipse.californium.core.coap.EmptyMessage;
import org.eclipse.californium.core.network.interceptors.MessageInterceptor;

/** Writes each RST that the server sends to the log, with the source address of the one whom it is for. */
final class Resets implements MessageInterceptor {

    private final EventLog log;

    Resets(EventLog log) {
        this.log = log;
    }

    @Override
    public void sendEmptyMessage(EmptyMessage message) {
        if (message.getType() == Type.RST) {
            String address = message.getDestinationContext().getPeerAddress().getAddress().getHostAddress();
            log.add("rst-sent", null, Json.object().put("address", address));
        }
    }
}
