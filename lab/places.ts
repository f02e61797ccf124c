/** Names and addresses that every part of the lab agrees on. */
export const CORE = 'core'
/** The core's own address, the gateway of every line. */
export const CORE_GATEWAY = '45.11.12.1'

export const SERVER = 'server'
/** Two addresses, so that a NAT shows whether it maps by destination. */
export const STUN_ADDRESSES = ['45.11.12.10', '45.11.12.11'] as const
export const STUN_ADDRESSES_V6 = ['2a0e:b107:ff::10', '2a0e:b107:ff::11'] as const
export const BROKER_ADDRESS = '45.11.12.12'
