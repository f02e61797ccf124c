import { ref } from 'vue'

/** The words last searched for, so that looking at a transfer in between does not lose them. Gone with the page. */
export const lastSearch = ref('')
