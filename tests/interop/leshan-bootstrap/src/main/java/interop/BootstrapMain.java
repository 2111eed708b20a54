package interop;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;

import org.eclipse.leshan.core.SecurityMode;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.californium.bootstrap.LeshanBootstrapServer;
import org.eclipse.leshan.server.californium.bootstrap.LeshanBootstrapServerBuilder;

/**
 * An unmodified Leshan bootstrap server (NoSec) on 127.0.0.1: whoever asks loses its accounts, and gets one.
 *
 * <p>Arguments: the URI of the server to register with, and the lifetime in seconds. When ready, one line goes to
 * standard output: {@code {"coap_port": PORT}}. The program ends when standard input closes.
 *
 * <p>Leshan 1.5, which is for LwM2M 1.0: its bootstrap server for LwM2M 1.1 is not among the artifacts of release 2.
 */
public final class BootstrapMain {

    private static final int SERVER_ID = 7;

    private BootstrapMain() {
    }

    /** Starts the server; see the class comment for the arguments. */
    public static void main(String[] args) throws IOException {
        BootstrapConfig config = account(args[0], Integer.parseInt(args[1]));
        LeshanBootstrapServer server = new LeshanBootstrapServerBuilder() //
                .setLocalAddress(new InetSocketAddress("127.0.0.1", 0)) //
                .disableSecuredEndpoint() //
                .setConfigStore((endpoint, identity, session) -> config) //
                .build();
        server.start();
        System.out.println("{\"coap_port\": " + server.getUnsecuredAddress().getPort() + "}");
        System.out.flush();
        while (System.in.read() >= 0) {
            // Whoever started the server holds the other end of the pipe; its end is ours.
        }
        System.exit(0);
    }

    private static BootstrapConfig account(String uri, int lifetime) {
        BootstrapConfig.ServerSecurity security = new BootstrapConfig.ServerSecurity();
        security.uri = uri;
        security.securityMode = SecurityMode.NO_SEC;
        security.serverId = SERVER_ID;
        BootstrapConfig.ServerConfig server = new BootstrapConfig.ServerConfig();
        server.shortId = SERVER_ID;
        server.lifetime = lifetime;
        server.binding = BindingMode.U;
        BootstrapConfig config = new BootstrapConfig();
        config.toDelete = List.of("/0", "/1");
        config.security.put(1, security); // instance 0 is the bootstrap server's own
        config.servers.put(0, server);
        return config;
    }
}
