# The operator and the worker in one image, so that a private mirror needs no more than one.
#
#   cargo build --release && docker build --tag switchyard .

# Any Debian or derivative with glibc 2.36 or later. One that has git, ssh and CA certificates already needs no network.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN if ! command -v git || ! command -v ssh || ! test -s /etc/ssl/certs/ca-certificates.crt; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
        && rm -rf /var/lib/apt/lists/*; \
    fi

# ssh refuses to run for a user without a name. Home is what may be written to in a pod.
RUN if ! getent passwd 65532; then \
        echo 'switchyard:x:65532:' >>/etc/group \
        && echo 'switchyard:x:65532:65532:Switchyard:/tmp:/usr/sbin/nologin' >>/etc/passwd; \
    fi

# The folder, inside the build context, with the two programs.
ARG BINARIES=target/release
COPY ${BINARIES}/switchyard-operator ${BINARIES}/switchyard-worker /usr/local/bin/

USER 65532:65532
ENTRYPOINT ["switchyard-operator"]
