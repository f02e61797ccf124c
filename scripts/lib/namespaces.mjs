// Whether and how this machine lets us have network namespaces of our own, which nothing outside of them can see.
import { capture } from './run.mjs'

/** Everything made inside is gone with the first process inside, and that goes with `unshare`. */
const UNSHARE = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']

/** Whoever is not root can be it inside of a user namespace, where the system allows that. */
const AS_USER = ['--user', '--map-root-user']

function flags() {
  return process.getuid?.() === 0 ? UNSHARE : [...AS_USER, ...UNSHARE]
}

/** @returns {Promise<string | undefined>} why the lab cannot be built here, or undefined */
export async function whyNoNamespaces() {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
  const tried = await capture('unshare', [...flags(), 'sh', '-c', 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add try && nft list ruleset'])
  return tried.code === 0 ? undefined : `no namespaces here (${tried.output.trim().split('\n').at(-1)})`
}

/** @returns {string[]} the command that runs another in a world of its own */
export function worldCommand(command) {
  return ['unshare', ...flags(), ...command]
}
