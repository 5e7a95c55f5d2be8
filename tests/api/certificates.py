"""Certificates of one's own, by the openssl command."""
import os
import ssl
import subprocess

import support


class Pair:
    """A certificate that is good for some names, and its key.  make() puts new ones in their place, as renewals do."""

    def __init__(self, folder, name, *hosts):
        self.certificate, self.key = folder / (name + '.crt'), folder / (name + '.key')
        self.hosts = hosts
        self.make()

    def make(self):
        names = ','.join(('IP:' if host[-1].isdigit() or ':' in host else 'DNS:') + host for host in self.hosts)
        new_certificate, new_key = '%s.new' % self.certificate, '%s.new' % self.key
        subprocess.run([support.need('openssl'), 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                        '-nodes', '-days', '7', '-subj', '/CN=' + self.hosts[0], '-addext', 'subjectAltName=' + names,
                        '-keyout', new_key, '-out', new_certificate], check=True, capture_output=True)
        os.rename(new_key, self.key)
        os.rename(new_certificate, self.certificate)

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


def client_context(*pairs):
    """Of a client that trusts these certificates alone; none: it trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for pair in pairs:
        context.load_verify_locations(pair.certificate)
    if not pairs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
