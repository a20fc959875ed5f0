// SPDX-License-Identifier: GPL-2.0
/* labtc: a lab-only pair of netdevs that accepts tc flower rules "in hardware".
 * ltc0<->ltc1 are wired back to back (a cable). Accepted rules are kept in a list, and matched
 * rules are not executed: only the offload control path (in_hw, stats, delete) is modelled. */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/etherdevice.h>
#include <linux/rtnetlink.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <net/pkt_cls.h>
#include <net/flow_offload.h>

struct rule { struct list_head l; unsigned long cookie; u32 prio; u64 keys; u32 nact; u32 acts; int port; u64 pkts, bytes; };
struct port { struct net_device *dev, *peer; int id; };
static LIST_HEAD(block_cbs);
static LIST_HEAD(rules);
static DEFINE_MUTEX(rlock);
static struct net_device *devs[2];
static struct dentry *dbg;
static unsigned int max_rules = 65536;
module_param(max_rules, uint, 0644);
static unsigned int nrules;

static int cls_cb(enum tc_setup_type type, void *type_data, void *priv)
{
	struct port *p = priv; struct flow_cls_offload *f = type_data; struct flow_action_entry *a; struct rule *r, *t; int i, err = 0;

	if (type != TC_SETUP_CLSFLOWER) return -EOPNOTSUPP;
	if (!tc_can_offload(p->dev)) return -EOPNOTSUPP;
	mutex_lock(&rlock);
	switch (f->command) {
	case FLOW_CLS_REPLACE:
		if (f->rule->match.dissector->used_keys & BIT_ULL(FLOW_DISSECTOR_KEY_TCP)) { NL_SET_ERR_MSG_MOD(f->common.extack, "TCP flags are not matched here"); err = -EOPNOTSUPP; break; }
		if (nrules >= max_rules) { NL_SET_ERR_MSG_MOD(f->common.extack, "table full"); err = -ENOSPC; break; }
		r = kzalloc(sizeof(*r), GFP_KERNEL);
		if (!r) { err = -ENOMEM; break; }
		r->cookie = f->cookie; r->prio = f->common.prio; r->port = p->id;
		r->keys = f->rule->match.dissector->used_keys;
		flow_action_for_each(i, a, &f->rule->action) { r->nact++; r->acts |= BIT(a->id & 31); }
		list_add_tail(&r->l, &rules); nrules++;
		break;
	case FLOW_CLS_DESTROY:
		err = -ENOENT;
		list_for_each_entry_safe(r, t, &rules, l) if (r->cookie == f->cookie) { list_del(&r->l); kfree(r); nrules--; err = 0; break; }
		break;
	case FLOW_CLS_STATS:
		err = -ENOENT;
		list_for_each_entry(r, &rules, l) if (r->cookie == f->cookie) {
			flow_stats_update(&f->stats, 100, 1, 0, jiffies, FLOW_ACTION_HW_STATS_IMMEDIATE); /* a fake hit per poll */
			r->pkts++; r->bytes += 100; err = 0; break; }
		break;
	default: err = -EOPNOTSUPP;
	}
	mutex_unlock(&rlock);
	return err;
}
static int ndo_tc(struct net_device *dev, enum tc_setup_type type, void *d)
{
	struct port *p = netdev_priv(dev);

	if (type == TC_SETUP_BLOCK) return flow_block_cb_setup_simple(d, &block_cbs, cls_cb, p, p, true);
	return -EOPNOTSUPP;
}
static netdev_tx_t ndo_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct port *p = netdev_priv(dev);

	dev_sw_netstats_tx_add(dev, 1, skb->len);
	skb_orphan(skb);
	if (p->peer && netif_running(p->peer)) dev_forward_skb(p->peer, skb); else dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}
static const struct net_device_ops ops = { .ndo_start_xmit = ndo_xmit, .ndo_setup_tc = ndo_tc, .ndo_validate_addr = eth_validate_addr, .ndo_set_mac_address = eth_mac_addr };
static void setup(struct net_device *dev)
{
	ether_setup(dev); dev->netdev_ops = &ops; dev->needs_free_netdev = true; eth_hw_addr_random(dev);
	dev->hw_features |= NETIF_F_HW_TC; dev->features |= NETIF_F_HW_TC; dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
}
static int show_show(struct seq_file *s, void *v)
{
	struct rule *r;

	mutex_lock(&rlock);
	list_for_each_entry(r, &rules, l) seq_printf(s, "port=%d cookie=%lx prio=%x keys=%llx actions=%u actmask=%x pkts=%llu\n", r->port, r->cookie, r->prio, r->keys, r->nact, r->acts, r->pkts);
	mutex_unlock(&rlock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(show);
static int __init init(void)
{
	int i, e; struct port *p;

	for (i = 0; i < 2; i++) {
		devs[i] = alloc_netdev(sizeof(struct port), i ? "ltc1" : "ltc0", NET_NAME_ENUM, setup);
		if (!devs[i]) return -ENOMEM;
		p = netdev_priv(devs[i]); p->dev = devs[i]; p->id = i;
		e = register_netdev(devs[i]); if (e) return e;
	}
	for (i = 0; i < 2; i++) { p = netdev_priv(devs[i]); p->peer = devs[!i]; }
	dbg = debugfs_create_file("labtc_rules", 0400, NULL, NULL, &show_fops);
	return 0;
}
static void __exit fini(void)
{
	struct rule *r, *t; struct port *p; int i;

	for (i = 0; i < 2; i++) { p = netdev_priv(devs[i]); p->peer = NULL; }
	synchronize_net();
	for (i = 0; i < 2; i++) unregister_netdev(devs[i]);
	debugfs_remove(dbg);
	list_for_each_entry_safe(r, t, &rules, l) kfree(r);
}
module_init(init); module_exit(fini); MODULE_LICENSE("GPL"); MODULE_DESCRIPTION("lab netdev with tc flower offload control path");
