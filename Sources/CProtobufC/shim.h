// libprotobuf-c and the arena that its messages are unpacked into.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A piece of heap memory that an arena hands out from its front to its end.
typedef struct CProtobufC_Block {
    struct CProtobufC_Block *next;
} CProtobufC_Block;

// Memory for one message: taken piece by piece, given back all at once, never more than a budget. Not for use
// from two threads. The first block is part of the same allocation, so that a small message costs one malloc.
typedef struct CProtobufC_Arena {
    ProtobufCAllocator allocator;
    uint8_t *cursor;
    uint8_t *end;
    CProtobufC_Block *blocks;
    // Bytes that may still be taken from the heap.
    size_t budget;
    // Set once a request went over the budget (or the heap is empty).
    int exhausted;
} CProtobufC_Arena;

// Arena and first block together stay below the size that glibc keeps in its per-thread cache.
enum { CProtobufC_ARENA_FIRST = 1024, CProtobufC_ARENA_BLOCK = 8192 };

static inline void *CProtobufC_arena_allocate(void *context, size_t size) {
    CProtobufC_Arena *arena = (CProtobufC_Arena *)context;
    if (size > SIZE_MAX - 64) {
        arena->exhausted = 1;
        return NULL;
    }
    size_t rounded = (size + 15) & ~(size_t)15;
    if ((size_t)(arena->end - arena->cursor) < rounded) {
        size_t header = 16;
        size_t wanted = rounded + header;
        if (wanted < CProtobufC_ARENA_BLOCK) wanted = CProtobufC_ARENA_BLOCK;
        if (wanted > arena->budget) wanted = rounded + header;
        CProtobufC_Block *block = wanted > arena->budget ? NULL : (CProtobufC_Block *)malloc(wanted);
        if (block == NULL) {
            arena->exhausted = 1;
            return NULL;
        }
        arena->budget -= wanted;
        block->next = arena->blocks;
        arena->blocks = block;
        uint8_t *start = (uint8_t *)block + header;
        // A large piece has its block to itself when the current one has more room left to give.
        if (wanted - header - rounded < (size_t)(arena->end - arena->cursor)) return start;
        arena->cursor = start + rounded;
        arena->end = (uint8_t *)block + wanted;
        return start;
    }
    void *piece = arena->cursor;
    arena->cursor += rounded;
    return piece;
}

static inline void CProtobufC_arena_forget(void *context, void *piece) {
    (void)context;
    (void)piece;
}

// An empty arena, or NULL when the heap is empty. `budget` counts heap bytes after the first block.
static inline CProtobufC_Arena *CProtobufC_arena_make(size_t budget) {
    CProtobufC_Arena *arena = (CProtobufC_Arena *)malloc(CProtobufC_ARENA_FIRST);
    if (arena == NULL) return NULL;
    size_t header = (sizeof(CProtobufC_Arena) + 15) & ~(size_t)15;
    arena->allocator.alloc = CProtobufC_arena_allocate;
    arena->allocator.free = CProtobufC_arena_forget;
    arena->allocator.allocator_data = arena;
    arena->cursor = (uint8_t *)arena + header;
    arena->end = (uint8_t *)arena + CProtobufC_ARENA_FIRST;
    arena->blocks = NULL;
    arena->budget = budget;
    arena->exhausted = 0;
    return arena;
}

static inline void CProtobufC_arena_free(CProtobufC_Arena *arena) {
    CProtobufC_Block *block = arena->blocks;
    while (block != NULL) {
        CProtobufC_Block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}
