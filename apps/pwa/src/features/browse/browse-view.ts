import { ref } from 'vue'
import type { ListOrder } from '../../entries/entry-source.ts'

/** Tiles instead of a list, for as long as the app is open. */
export const isGrid = ref(false)

/** In which order folders are shown, for as long as the app is open. */
export const listOrder = ref<ListOrder>({ sort: null, reverse: false })
