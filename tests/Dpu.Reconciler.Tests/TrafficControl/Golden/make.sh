#!/bin/sh
# Makes requests.txt: what tc(8) of iproute2 sends for filters, byte by byte, as strace(1) saw it. A kernel without cls_flower
# refuses the filters, after it was sent them. Run as root: ./make.sh > requests.txt
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "# $(tc -V); each entry: the command, the flow in OVS' syntax (or '! why' where it can be none), the message in hex."
cat > "$work/cases" <<'CASES'
protocol ip chain 3 pref 100 flower skip_sw ip_proto tcp dst_ip 10.1.2.0/24 src_ip 192.0.2.1 dst_port 80 tcp_flags 0x2/0x12 ip_tos 0x10/0xfc ip_ttl 64 action drop | cookie=0,table=3,priority=65435,tcp,vlan_tci=0x0000,nw_src=192.0.2.1,nw_dst=10.1.2.0/24,tp_dst=80,tcp_flags=0x2/0x12,nw_tos=16/0xfc,nw_ttl=64,actions=drop
protocol all pref 7 flower dst_mac 02:00:00:00:00:01 src_mac 02:00:00:00:00:00/ff:ff:ff:00:00:00 action mirred egress redirect dev lo cookie 0000000000001234 | cookie=0x1234,priority=65528,dl_src=02:00:00:00:00:00/ff:ff:ff:00:00:00,dl_dst=02:00:00:00:00:01,actions=output:1
protocol 802.1Q pref 8 flower vlan_id 100 vlan_prio 5 vlan_ethtype ip ip_proto udp dst_ip 10.0.0.1 src_port 1000-2000 dst_port 53 action vlan pop pipe action mirred egress redirect dev lo | priority=65527,udp,dl_vlan=100,dl_vlan_pcp=5,nw_dst=10.0.0.1,tp_src=1000-2000,tp_dst=53,actions=pop_vlan,output:1
protocol 802.1ad pref 9 flower vlan_id 7 vlan_ethtype 802.1q cvlan_id 8 cvlan_prio 1 cvlan_ethtype ipv6 ip_proto tcp dst_ip 2001:db8::/32 dst_port 443 action drop | priority=65526,tcp6,dl_vlan=7,inner_vlan_tci=0x3008,ipv6_dst=2001:db8::/32,tp_dst=443,actions=drop
protocol ipv6 pref 10 flower ip_proto icmpv6 type 135 code 0 action pass | priority=65525,icmp6,vlan_tci=0x0000,icmp_type=135,icmp_code=0,actions=NORMAL
protocol ip pref 11 flower ip_proto icmp type 8 action goto chain 5 | priority=65524,icmp,vlan_tci=0x0000,icmp_type=8,actions=goto_table:5
protocol ip pref 12 flower ip_flags frag/nofirstfrag action trap | priority=65523,ip,vlan_tci=0x0000,ip_frag=later,actions=CONTROLLER
protocol arp pref 13 flower arp_op request arp_tip 10.0.0.0/8 arp_sha 02:00:00:00:00:09 action mirred egress mirror dev lo pipe action drop | priority=65522,arp,vlan_tci=0x0000,arp_op=1,arp_tpa=10.0.0.0/8,arp_sha=02:00:00:00:00:09,actions=output:1
protocol ip pref 14 flower enc_key_id 77 enc_src_ip 192.0.2.7 enc_dst_ip 192.0.2.0/24 enc_dst_port 4789 enc_tos 0x4/0xfc enc_ttl 3 ip_proto sctp dst_port 9 action tunnel_key unset pipe action mirred egress redirect dev lo | priority=65521,sctp,vlan_tci=0x0000,tunnel_type=vxlan,tun_id=77,tun_src=192.0.2.7,tun_dst=192.0.2.0/24,tun_tos=4/0xfc,tun_ttl=3,tp_dst=9,actions=pop_tunnel,output:1
protocol ip pref 15 flower enc_key_id 5 enc_dst_ip 2001:db8::1 enc_dst_port 6081 action tunnel_key set src_ip 192.0.2.1 dst_ip 192.0.2.2 id 9 dst_port 4789 pipe action mirred egress redirect dev lo | priority=65520,ip,vlan_tci=0x0000,tunnel_type=geneve,tun_id=5,tun_ipv6_dst=2001:db8::1,actions=push_tunnel(type=vxlan,id=9,dst=192.0.2.2,src=192.0.2.1),output:1
protocol ip pref 16 flower ct_state +trk+est-new ct_zone 5 ct_mark 0x10/0xf0 action drop | priority=65519,ip,vlan_tci=0x0000,ct_state=0x22/0x23,ct_zone=5,ct_mark=0x10/0xf0,actions=drop
protocol ip pref 17 flower ip_proto tcp action pedit ex munge eth dst set 02:00:00:00:00:05 munge ip src set 192.0.2.9 munge ip ttl set 5 munge tcp dport set 8080 pipe action csum ip4h tcp pipe action mirred egress redirect dev lo | priority=65518,tcp,vlan_tci=0x0000,actions=set_field:02:00:00:00:00:05->eth_dst,set_field:192.0.2.9->ip_src,set_field:5->nw_ttl,set_field:8080->tp_dst,output:1
protocol ipv6 pref 18 flower ip_proto udp action pedit ex munge ip6 dst set 2001:db8::5 munge ip6 hoplimit set 9 munge udp sport set 99 pipe action csum udp pipe action drop | priority=65517,udp6,vlan_tci=0x0000,actions=set_field:2001:db8::5->ipv6_dst,set_field:9->nw_ttl,set_field:99->tp_src
protocol ip pref 19 flower action vlan push id 42 priority 3 protocol 802.1ad pipe action mirred egress redirect dev lo | priority=65516,ip,vlan_tci=0x0000,actions=push_vlan:0x88a8,set_field:4138->vlan_vid,set_field:3->vlan_pcp,output:1
protocol 802.1Q pref 20 flower vlan_id 5 action vlan modify id 6 pipe action mirred egress redirect dev lo | priority=65515,dl_vlan=5,actions=set_field:4102->vlan_vid,output:1
protocol mpls_uc pref 21 flower mpls_label 1000 mpls_tc 3 mpls_bos 1 action drop | priority=65514,mpls,vlan_tci=0x0000,mpls_label=1000,mpls_tc=3,mpls_bos=1,actions=drop
protocol ip pref 22 flower indev lo action drop | priority=65513,ip,vlan_tci=0x0000,in_port=1,actions=drop
protocol ip pref 23 flower action ct commit zone 3 pipe action mirred egress redirect dev lo | ! it tracks connections, ct(commit,zone=3), which is not known here
protocol ip pref 24 flower action skbedit mark 7 pipe action drop | ! it has the action 'skbedit', which is not known here
protocol mpls_uc pref 25 flower mpls_ttl 9 action drop | ! it matches attribute 67 of flower, which cannot be kept
protocol ip pref 26 flower enc_key_id 1 enc_dst_port 9999 action drop | ! it matches tunnels of port 9999/0xffff; kept are VXLAN's 4789 and GENEVE's 6081
protocol ip pref 27 flower action pedit ex munge ip ttl add 255 pipe action drop | ! it writes into headers in a way that cannot be kept
protocol ip pref 28 flower action mirred ingress redirect dev lo | ! it sends packets into an interface as if they came in there
CASES
while IFS='|' read -r filter flow; do
    echo "tc filter add dev lo ingress $filter"
    echo "$flow"
    # shellcheck disable=SC2086 # The filter is several words.
    unshare -n strace -o "$work/trace" -e trace=sendmsg -e write=all tc filter add dev lo ingress $filter > "$work/said" 2>&1 || true
    # The last message is the filter; those before ask what interfaces there are.
    python3 -c '
import re, sys
messages = open(sys.argv[1]).read().split("sendmsg(")
print("".join(re.findall(r"^ \| [0-9a-f]{5}  (.{48})", messages[-1], re.M)).replace(" ", ""))' "$work/trace"
done < "$work/cases"
