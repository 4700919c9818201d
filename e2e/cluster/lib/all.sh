# Everything, in the order in which it is needed.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR

LIBRARY=$(dirname -- "${BASH_SOURCE[0]}")
source "$LIBRARY/say.sh"
source "$LIBRARY/settings.sh"
source "$LIBRARY/packages.sh"
source "$LIBRARY/binaries.sh"
source "$LIBRARY/images.sh"
source "$LIBRARY/network.sh"
source "$LIBRARY/cgroups.sh"
source "$LIBRARY/processes.sh"
source "$LIBRARY/certificates.sh"
source "$LIBRARY/remains.sh"
source "$LIBRARY/control-plane.sh"
source "$LIBRARY/node.sh"
source "$LIBRARY/forge.sh"
