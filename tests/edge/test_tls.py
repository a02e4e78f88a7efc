"""Deliveries by TLS: an edge with a certificate takes no others, and a hub knows by the certificate whom it delivers to."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from edge.test_without_hub import HOST
from places import reachable_directory
from program import environment, server

from gateway.errors import ClusterError
from gateway.postgres.tls import Certificate, tls_listener
from gateway.storage.database import Database
from gateway.storage.queries import Query

PORT = 5_434
PADDED = Query("test.padded", "select repeat('x', 10000) from generate_series(1, 100)", (), (), "rows", "For tests.")


def write_certificate(directory, name):
    """Write a certificate for HOST that vouches for itself, and its key."""
    key, issuer = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(issuer, issuer, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / f"{name}.pem", directory / f"{name}.key"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return chain, secret


async def test_a_hub_delivers_by_tls_to_the_edge_with_the_certificate_and_nobody_in_the_clear():
    with reachable_directory() as place:
        (chain, key), (other, _) = write_certificate(place, "edge"), write_certificate(place, "other")
        env = environment(GATEWAY_EDGE_TLS_CERTIFICATE=str(chain), GATEWAY_EDGE_TLS_KEY=str(key))
        listen = ("--data-center", "VA6", "--listen", f"{HOST}:{PORT}")
        with server(place / "data", *listen, command="edge", env=env) as process:
            bare = f"postgresql://gateway_hub@{HOST}:{PORT}/gateway"
            assert process.process.stdout.readline() == f"hubs deliver to VA6={bare}?sslmode=verify-full\n"
            address = bare.replace("@", f":{(process.data_dir / 'hub.password').read_text().strip()}@")
            hub = await Database.connect(f"{address}?sslmode=verify-full&sslrootcert={chain}", size=2)
            async with hub.transaction() as tx:
                assert len(await tx.rows(PADDED)) == 100  # more than one record of TLS
            await hub.close()
            for wrong, error in (
                (f"{address}?sslmode=disable", asyncpg.InvalidAuthorizationSpecificationError),
                (f"{address}?sslmode=verify-full&sslrootcert={other}", ssl.SSLCertVerificationError),
                (f"{bare}?sslmode=verify-full&sslrootcert={chain}", asyncpg.InvalidPasswordError),
            ):
                with pytest.raises(error, match="TLS only" if "disable" in wrong else None):
                    await asyncpg.connect(wrong)


async def test_a_certificate_that_cannot_be_used_is_named_at_the_start(tmp_path):
    chain, _ = write_certificate(tmp_path, "edge")
    _, other = write_certificate(tmp_path, "other")
    for key in (other, tmp_path / "missing.key"):
        with pytest.raises(ClusterError, match=rf"edge\.pem and .*{key.name} are no certificate with its key"):
            async with tls_listener(HOST, PORT, Certificate(chain, key), ("127.0.0.1", 1)):
                pass
