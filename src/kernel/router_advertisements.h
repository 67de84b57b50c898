// What a host learned from IPv6 router advertisements, when it begins to forward.
#pragma once

namespace flannel {

// To be called before IPv6 forwarding is turned on, in the network namespace that the thread is in:
// with it the kernel drops the default routes that came by advertisements, and ignores further
// ones, where `accept_ra` is 1 (net/ipv6/route.c rt6_purge_dflt_routers; Documentation/networking/
// ip-sysctl, `accept_ra`). It becomes 2 on each device that has a route of `proto ra`; one with
// another value stays as somebody set it. Where /proc/sys is read-only nothing is done. Throws
// std::system_error where the routes cannot be listed.
void keep_router_advertisements();

}  // namespace flannel
