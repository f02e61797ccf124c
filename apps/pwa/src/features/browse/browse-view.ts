import { ref } from 'vue'

/** Tiles instead of a list, for as long as the app is open. */
export const isGrid = ref(false)
