package interop;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

/** Certificates and elliptic-curve keys of PEM files. */
final class Pem {

    private Pem() {
    }

    /** Returns all certificates of a file, in its order. */
    static X509Certificate[] certificates(String file) throws IOException, GeneralSecurityException {
        byte[] text = Files.readAllBytes(Path.of(file));
        return CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(text)).stream() //
                .map(X509Certificate.class::cast).toArray(X509Certificate[]::new);
    }

    /** Returns the private key of a file (PKCS #8, without a passphrase). */
    static PrivateKey privateKey(String file) throws IOException, GeneralSecurityException {
        String text = Files.readString(Path.of(file)).replaceAll("-----[A-Z ]+-----|\\s", "");
        byte[] key = Base64.getDecoder().decode(text);
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(key));
    }
}
