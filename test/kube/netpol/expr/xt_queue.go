// A file that scripts/build-kube puts into this package of github.com/google/nftables, for kernels without nft_queue:
// they queue packets by the target of iptables (xt_NFQUEUE.h, struct xt_NFQ_info_v3), which does the same.
package expr

import (
	"encoding/binary"

	"github.com/google/nftables/xt"
)

func (e *Queue) marshal(fam byte) ([]byte, error) {
	order := binary.NativeEndian
	info := xt.Unknown(order.AppendUint16(nil, e.Num))
	info = order.AppendUint16(info, max(e.Total, 1))
	info = order.AppendUint16(info, uint16(e.Flag))
	info = append(info, 0, 0) // XT_ALIGN
	target := Target{Name: "NFQUEUE", Rev: 3, Info: &info}
	return target.marshal(fam)
}
