# SonarQube Community Build, the release that the LTA 2025.1 is made from, and its
# scanner, in one image: both are programs for the JRE that Debian has.
# shellcheck shell=bash disable=SC2034,SC2154

packages=(openjdk-17-jre-headless)
config=(
    --config.env SONAR_USER_HOME=/tmp/sonar
    # Else the scanner asks the server for a JRE of its own.
    --config.env SONAR_SCANNER_SKIP_JRE_PROVISIONING=true
    --config.entrypoint /opt/sonarqube/start
    --config.user 1000:1000
    --config.workingdir /opt/sonarqube
)

assemble() {
    local server scanner opt=$1/opt
    server=$(from_maven_central org.sonarsource.sonarqube:sonar-application:25.1.0.102122:zip \
        1b37a6d6f882e32208620597706ee336e9a3495acff826421475618dc747feba)
    scanner=$(from_maven_central org.sonarsource.scanner.cli:sonar-scanner-cli:7.3.0.5189:zip \
        a251d0793cb6bd889e4fd30299bb5dc4e07433e57133b16fc227aca98f8d2c2d)
    # Of the analysers those of Python, text and secrets: the others are two thirds
    # of the server, and of the time that it takes to start.
    unzip -q "$server" -d "$opt" -x '*/jres/*.tar.gz' '*/jres/*.zip' '*/bin/windows*' '*/bin/macosx*' \
        '*/lib/extensions/sonar-csharp-*' '*/lib/extensions/sonar-flex-*' '*/lib/extensions/sonar-go-*' \
        '*/lib/extensions/sonar-html-*' '*/lib/extensions/sonar-iac-*' '*/lib/extensions/sonar-ja*' \
        '*/lib/extensions/sonar-kotlin-*' '*/lib/extensions/sonar-php-*' '*/lib/extensions/sonar-ruby-*' \
        '*/lib/extensions/sonar-scala-*' '*/lib/extensions/sonar-vbnet-*' '*/lib/extensions/sonar-xml-*'
    unzip -q "$scanner" -d "$opt"
    mv "$opt"/sonarqube-* "$opt/sonarqube"
    mv "$opt"/sonar-scanner-* "$opt/sonar-scanner"
    ln -s /opt/sonar-scanner/bin/sonar-scanner "$1/usr/local/bin/sonar-scanner"
    install -m 644 "$recipe/sonar.properties" "$opt/sonarqube/conf/sonar.properties"
    install "$recipe/start" "$opt/sonarqube/start"
    chmod -R go+rX "$opt"
    # Where it writes. Its data go with the pod.
    install -d -o 1000 -g 1000 "$opt"/sonarqube/{data,logs,temp,extensions,extensions/plugins}
    chown -R 1000:1000 "$opt"/sonarqube/{data,logs,temp,extensions}
    printf 'sonarqube:x:1000:1000:sonarqube:/tmp:/bin/sh\n' >>"$1/etc/passwd"
    printf 'sonarqube:x:1000:\n' >>"$1/etc/group"
}
