package interop;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.GeneralSecurityException;
import java.util.HexFormat;
import java.util.Properties;

import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.queue.StaticClientAwakeTimeProvider;
import org.eclipse.leshan.server.registration.InMemoryRegistrationStore;
import org.eclipse.leshan.servers.security.InMemorySecurityStore;
import org.eclipse.leshan.servers.security.NonUniqueSecurityInfoException;
import org.eclipse.leshan.servers.security.SecurityInfo;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;

/**
 * An unmodified Leshan server on CoAP over UDP (NoSec), and on DTLS if wanted, with a JSON control port on the loopback
 * address.
 *
 * <p>Options, each with its value as the next argument:
 * <ul>
 * <li>{@code --coap-address}, {@code --coap-port}: where devices find the server (127.0.0.1, 0 = any free port)
 * <li>{@code --control-port}: HTTP port of the control interface on 127.0.0.1 (0 = any free port)
 * <li>{@code --response-timeout}: seconds an operation waits for its response if it names none itself (120, as in
 * Leshan)
 * <li>{@code --awake-window}: seconds for which a client in queue mode counts as awake (93, as in Leshan)
 * <li>{@code --cleaning-period}: seconds between two searches for registrations that are over (60, as in Leshan)
 * <li>{@code --update-on-notification}, {@code --update-on-send}: {@code true} makes a notification or a Send move the
 * registration to the address it came from (false, as in Leshan)
 * <li>{@code --coaps-port}: takes DTLS at the same address (0 = any free port); absent: no DTLS
 * <li>{@code --psk}: {@code ENDPOINT,IDENTITY,KEY}, an endpoint's pre-shared key, in hexadecimal; may be repeated
 * <li>{@code --x509}: an endpoint that has a certificate with its name as common name; may be repeated
 * <li>{@code --certificate}, {@code --private-key}, {@code --authority}: PEM files for X.509
 * <li>{@code --californium}: one Californium setting, for example {@code COAP.ACK_TIMEOUT=500[ms]}; may be repeated
 * </ul>
 * When ready, one line of JSON goes to standard output: {@code {"coap_address", "coap_port", "coaps_port",
 * "control_port"}}; {@code coaps_port} is 0 without DTLS. The
 * program ends when standard input closes or on {@code POST /stop}.
 */
public final class Main {

    private Main() {
    }

    /** Starts the server; see the class comment for the options. */
    public static void main(String[] args) throws IOException, GeneralSecurityException, NonUniqueSecurityInfoException {
        String coapAddress = "127.0.0.1";
        int coapPort = 0;
        int coapsPort = -1;
        int controlPort = 0;
        InMemorySecurityStore identities = new InMemorySecurityStore();
        String certificate = null;
        String privateKey = null;
        String authority = null;
        double responseTimeout = 120;
        double awakeWindow = 93;
        int cleaningPeriod = 60;
        boolean updateOnNotification = false;
        boolean updateOnSend = false;
        Properties californium = new Properties();
        for (int i = 0; i < args.length; i += 2) {
            if (i + 1 == args.length) {
                throw new IllegalArgumentException(args[i] + " needs a value");
            }
            String value = args[i + 1];
            switch (args[i]) {
            case "--coap-address" -> coapAddress = value;
            case "--coap-port" -> coapPort = Integer.parseInt(value);
            case "--coaps-port" -> coapsPort = Integer.parseInt(value);
            case "--psk" -> {
                String[] parts = value.split(",");
                identities.add(SecurityInfo.newPreSharedKeyInfo(parts[0], parts[1], HexFormat.of().parseHex(parts[2])));
            }
            case "--x509" -> identities.add(SecurityInfo.newX509CertInfo(value));
            case "--certificate" -> certificate = value;
            case "--private-key" -> privateKey = value;
            case "--authority" -> authority = value;
            case "--control-port" -> controlPort = Integer.parseInt(value);
            case "--response-timeout" -> responseTimeout = Double.parseDouble(value);
            case "--awake-window" -> awakeWindow = Double.parseDouble(value);
            case "--cleaning-period" -> cleaningPeriod = Integer.parseInt(value);
            case "--update-on-notification" -> updateOnNotification = Boolean.parseBoolean(value);
            case "--update-on-send" -> updateOnSend = Boolean.parseBoolean(value);
            case "--californium" -> {
                int equals = value.indexOf('=');
                if (equals < 1) {
                    throw new IllegalArgumentException("--californium wants KEY=VALUE, not " + value);
                }
                californium.setProperty(value.substring(0, equals), value.substring(equals + 1));
            }
            default -> throw new IllegalArgumentException("unknown option " + args[i]);
            }
        }

        CaliforniumServerEndpointsProvider.Builder endpoints = new CaliforniumServerEndpointsProvider.Builder(
                new CoapServerProtocolProvider(), new CoapsServerProtocolProvider());
        Configuration configuration = endpoints.createDefaultConfiguration();
        configuration.add(californium);
        endpoints.setConfiguration(configuration);
        endpoints.addEndpoint(new InetSocketAddress(coapAddress, coapPort), Protocol.COAP);
        if (coapsPort >= 0) {
            endpoints.addEndpoint(new InetSocketAddress(coapAddress, coapsPort), Protocol.COAPS);
        }

        LeshanServerBuilder builder = new LeshanServerBuilder();
        if (certificate != null) {
            builder.setCertificateChain(Pem.certificates(certificate));
            builder.setPrivateKey(Pem.privateKey(privateKey));
            builder.setTrustedCertificates(Pem.certificates(authority));
        }
        CaliforniumServerEndpointsProvider provider = endpoints.build();
        InMemoryRegistrationStore registrations = new InMemoryRegistrationStore(cleaningPeriod);
        LeshanServer server = builder //
                .setRegistrationStore(registrations) //
                .setSecurityStore(identities) //
                .setEndpointsProviders(provider) //
                .setObjectModelProvider(new VersionedModelProvider(Models.all())) //
                .setClientAwakeTimeProvider(new StaticClientAwakeTimeProvider((int) (awakeWindow * 1000))) //
                .setUpdateRegistrationOnNotification(updateOnNotification) //
                .setUpdateRegistrationOnSend(updateOnSend) //
                .build();

        EventLog events = new EventLog();
        Listeners.attach(server, events);
        server.start();
        provider.getCoapServer().getEndpoints().forEach(endpoint -> endpoint.addInterceptor(new Resets(events)));
        Operations operations = new Operations(server, events, (long) (responseTimeout * 1000));
        InetSocketAddress controlAddress = new InetSocketAddress(InetAddress.getLoopbackAddress(), controlPort);
        ControlPort control = new ControlPort(controlAddress, server, registrations, operations, events);
        control.start();

        Runtime.getRuntime().addShutdownHook(new Thread(server::destroy));
        System.out.println(Json.object() //
                .put("coap_address", coapAddress) //
                .put("coap_port", server.getEndpoint(Protocol.COAP).getURI().getPort()) //
                .put("coaps_port", coapsPort < 0 ? 0 : server.getEndpoint(Protocol.COAPS).getURI().getPort()) //
                .put("control_port", control.port()));
        System.out.flush();
        while (System.in.read() >= 0) {
            // Whoever started the server holds the other end of the pipe; its end is ours.
        }
        System.exit(0);
    }
}
